-- The mean score of each entry of a study on a metric by prompt, in lists of equal length.
WITH by_prompt AS (
    SELECT entry, prompt_id, favg(value) AS mean
    FROM entry_scores
    WHERE study = $study
        AND metric = $metric
    GROUP BY entry, prompt_id
)
SELECT
    entry,
    list(prompt_id ORDER BY prompt_id) AS prompt_ids,
    list(mean ORDER BY prompt_id) AS means
FROM by_prompt
GROUP BY entry
ORDER BY entry;
