-- The models of a study's runs, as each run found them: weights by their hash, and how they ran.
WITH listed AS (
    SELECT run_id, unnest(entries) AS item
    FROM runs
    WHERE study_name = $study
)
SELECT
    run_id,
    item.model,
    item.weights_hash,
    item.dtype,
    item.compiled,
    count(*) AS entries
FROM listed
GROUP BY ALL
ORDER BY run_id, item.model, item.weights_hash, item.dtype, item.compiled;
