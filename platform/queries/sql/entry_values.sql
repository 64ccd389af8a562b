-- Every score of a study on a metric, one row for each entry, in lists of equal length: the prompt (by
-- its name and a hash of its wording, which another store may word anew), the seed place, the value.
SELECT
    entry_scores.entry,
    list(prompt_id || ' ' || md5(prompt) ORDER BY prompt_id, seed_place) AS prompts,
    list(seed_place ORDER BY prompt_id, seed_place) AS seed_places,
    list(value ORDER BY prompt_id, seed_place) AS values
FROM entry_scores
JOIN asked_prompts USING (study, prompt_id)
WHERE study = $study
    AND metric = $metric
GROUP BY entry_scores.entry
ORDER BY entry_scores.entry;
