-- What each metric of a study says of the two pictures of every vote: 1 where the entry's scores above
-- its opponent's, 0 below, 0.5 equal. A vote on a picture without a score has no row.
SELECT
    mine.metric,
    study_votes.prompt_id,
    study_votes.result,
    (1 + sign(mine.value - theirs.value)) / 2 AS above
FROM study_votes
JOIN entry_scores AS mine ON mine.study = study_votes.study
    AND mine.entry = study_votes.entry
    AND mine.prompt_id = study_votes.prompt_id
    AND mine.seed_place = study_votes.seed_place
JOIN entry_scores AS theirs ON theirs.study = study_votes.study
    AND theirs.metric = mine.metric
    AND theirs.entry = study_votes.opponent
    AND theirs.prompt_id = study_votes.prompt_id
    AND theirs.seed_place = study_votes.seed_place
WHERE study_votes.study = $study
ORDER BY mine.metric, study_votes.voted, study_votes.vote_id;
