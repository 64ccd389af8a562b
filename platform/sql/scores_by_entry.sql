-- The scores of a study, one row for each entry and metric, in lists of equal length.
SELECT
    metric,
    entry,
    count(DISTINCT prompt_id) AS prompts,
    list(prompt_id ORDER BY prompt_id, seed_place) AS prompt_ids,
    list(task ORDER BY prompt_id, seed_place) AS tasks,
    list(value ORDER BY prompt_id, seed_place) AS values
FROM entry_scores
WHERE study = $study
GROUP BY metric, entry
ORDER BY metric, entry;
