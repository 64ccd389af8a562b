-- How many seeds an entry of a study has at most, and the tasks of its prompts by name.
SELECT
    coalesce(max(len(entries.seeds)), 0) AS seeds,
    (
        SELECT coalesce(list(DISTINCT task ORDER BY task) FILTER (task IS NOT NULL), [])
        FROM entry_samples
        WHERE study = $study
    ) AS tasks
FROM entries
WHERE entries.study = $study;
