-- The votes on a study's entries, in the order in which they were cast.
SELECT entry, opponent, prompt_id, seed_place, result
FROM study_votes
WHERE study = $study
ORDER BY voted, vote_id;
