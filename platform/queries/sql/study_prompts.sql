-- The prompts of a study, taking turns between tasks, so that the first few show all of them.
WITH distinct_prompts AS (
    SELECT DISTINCT study, task, prompt_id
    FROM entry_samples
    WHERE study = $study
)
SELECT task, prompt_id, prompt
FROM distinct_prompts
JOIN asked_prompts USING (study, prompt_id)
ORDER BY row_number() OVER (PARTITION BY task ORDER BY prompt_id), task;
