-- What each metric of a study says of the two pictures of every vote: 1 where the entry's scores above
-- its opponent's, 0 below, 0.5 equal. A vote on a picture without a score has no row. Of millions of
-- scores only those of prompts with a vote are joined.
WITH voted AS (
    SELECT study, metric, entry, prompt_id, seed_place, value
    FROM entry_scores
    WHERE study = $study
        AND prompt_id IN (SELECT prompt_id FROM study_votes WHERE study = $study)
)
SELECT
    mine.metric,
    study_votes.prompt_id,
    study_votes.result,
    (1 + sign(mine.value - theirs.value)) / 2 AS above
FROM study_votes
JOIN voted AS mine USING (study, entry, prompt_id, seed_place)
JOIN voted AS theirs ON theirs.study = study_votes.study
    AND theirs.metric = mine.metric
    AND theirs.entry = study_votes.opponent
    AND theirs.prompt_id = study_votes.prompt_id
    AND theirs.seed_place = study_votes.seed_place
WHERE study_votes.study = $study
ORDER BY mine.metric, study_votes.voted, study_votes.vote_id;
