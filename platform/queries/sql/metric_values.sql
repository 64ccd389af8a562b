-- The finite scores of a study on a metric, with the places of their entries, prompts and seeds, all
-- from 1; tasks and prompts are all, or those named.
SELECT
    entries.place::INTEGER AS entry,
    prompt_place::INTEGER AS prompt,
    seed_place::INTEGER AS seed,
    value
FROM entry_scores
JOIN entries USING (study, entry)
WHERE study = $study
    AND metric = $metric
    AND ($task IS NULL OR task = $task)
    AND ($prompt_ids IS NULL OR prompt_id IN (SELECT unnest($prompt_ids)));
