-- The scores of a study by prompt, one row for each entry and metric, in lists of equal length. Sums
-- are compensated, as the order in which rows come is not always the same.
WITH by_prompt AS (
    SELECT
        metric,
        entry,
        prompt_id,
        min(task) AS task,
        favg(value) AS mean,
        count(*) AS samples,
        bool_and(value IN (0, 1)) AS is_binary
    FROM entry_scores
    WHERE study = $study
    GROUP BY metric, entry, prompt_id
)
SELECT
    metric,
    entry,
    list(task ORDER BY prompt_id) AS tasks,
    list(mean ORDER BY prompt_id) AS means,
    list(samples ORDER BY prompt_id) AS samples,
    list(is_binary ORDER BY prompt_id) AS binary
FROM by_prompt
GROUP BY metric, entry
ORDER BY metric, entry;
