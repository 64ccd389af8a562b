-- The prompts that hold a text and of which some entries have samples at a seed place, of one task or
-- of all. The most disagreed come first: by the spread of the entries' scores on a metric. Where no
-- metric is named, or as many disagree, tasks take turns.
WITH chosen AS (
    SELECT entry
    FROM entries
    WHERE study = $study
        AND list_contains($entries, entry::VARCHAR)
),
made AS (
    SELECT study, prompt_id, min(task) AS task
    FROM entry_samples
    WHERE study = $study
        AND seed_place = $seed_place
        AND entry IN (SELECT entry FROM chosen)
    GROUP BY study, prompt_id
),
spreads AS (
    SELECT prompt_id, max(value) - min(value) AS spread
    FROM entry_scores
    WHERE study = $study
        AND metric = $metric
        AND seed_place = $seed_place
        AND entry IN (SELECT entry FROM chosen)
    GROUP BY prompt_id
    HAVING count(*) > 1
)
SELECT prompt_id, task, spread
FROM made
JOIN asked_prompts USING (study, prompt_id)
LEFT JOIN spreads USING (prompt_id)
WHERE contains(lower(asked_prompts.prompt), lower($holding))
    AND ($task IS NULL OR task = $task)
ORDER BY
    spread DESC NULLS LAST,
    row_number() OVER (PARTITION BY task ORDER BY prompt_id),
    task;
