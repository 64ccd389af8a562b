-- What each stage of a study takes an image, in seconds: percentiles over batches of one size on one
-- device, computed in one dtype. A worker's first batch with a model is told apart, for it pays the
-- warm-up; traced batches are left out.
WITH shards AS (
    SELECT DISTINCT entry, shard_id
    FROM entry_samples
    WHERE study = $study
)
SELECT
    shards.entry,
    profiles.stage,
    profiles.device,
    profiles.dtype,
    profiles.compiled,
    profiles.batch_size,
    profiles.warm,
    count(*) AS batches,
    quantile_cont(profiles.seconds / profiles.images, 0.5) AS p50,
    quantile_cont(profiles.seconds / profiles.images, 0.9) AS p90,
    quantile_cont(profiles.seconds / profiles.images, 0.99) AS p99
FROM shards
JOIN profiles USING (shard_id)
WHERE profiles.images > 0
    AND NOT coalesce(profiles.traced, false)
GROUP BY ALL
ORDER BY ALL;
