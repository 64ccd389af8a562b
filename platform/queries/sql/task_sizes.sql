-- How many samples and prompts of a task each entry of a study has.
SELECT
    entry,
    count(*) AS samples,
    count(DISTINCT prompt_id) AS prompts
FROM entry_samples
WHERE study = $study
    AND task = $task
GROUP BY entry
ORDER BY entry;
