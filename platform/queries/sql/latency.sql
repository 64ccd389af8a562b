-- What each stage of a study's entries takes an image, in seconds: percentiles over typical batches,
-- or over all of an entry that has no other.
WITH judged AS (
    SELECT *, bool_or(typical) OVER (PARTITION BY entry, stage) AS any_typical
    FROM entry_batches
    WHERE study = $study
)
SELECT
    judged.entry,
    judged.stage,
    any_value(any_typical) AS is_typical,
    count(*) AS batches,
    quantile_cont(seconds, 0.5) AS p50,
    quantile_cont(seconds, 0.9) AS p90,
    quantile_cont(seconds, 0.99) AS p99
FROM judged
JOIN entries ON entries.study = $study
    AND entries.entry = judged.entry
WHERE typical OR NOT any_typical
GROUP BY judged.entry, judged.stage, entries.place
ORDER BY entries.place, judged.stage;
