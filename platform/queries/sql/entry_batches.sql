-- What each stage of an entry took, batch by batch: seconds and joules an image, and peak memory.
-- Batches of another size or device are no repetitions: those of the newest run that measured the
-- stage count. A worker's first batch with a model, which pays the warm-up, and traced ones are not
-- `typical`.
CREATE OR REPLACE TABLE entry_batches AS
WITH entry_shards AS (
    SELECT DISTINCT study, entry, shard_id
    FROM entry_samples
),
measured AS (
    SELECT
        entry_shards.study,
        entry_shards.entry,
        profiles.stage,
        profiles.shard_id,
        profiles.run_id,
        runs.started,
        runs.batch_size,
        profiles.device,
        profiles.warm AND NOT coalesce(profiles.traced, false) AS typical,
        profiles.seconds / profiles.images AS seconds,
        profiles.energy_joules / profiles.images AS joules,
        profiles.peak_memory_bytes,
        profiles.peak_allocated_bytes,
        profiles.memory_kind
    FROM entry_shards
    JOIN profiles USING (shard_id)
    LEFT JOIN runs ON runs.run_id = profiles.run_id
    WHERE profiles.images > 0
)
SELECT *
FROM measured
WINDOW newest_first AS (
    PARTITION BY study, entry, stage
    ORDER BY started DESC NULLS LAST, run_id DESC, shard_id
)
QUALIFY batch_size IS NOT DISTINCT FROM first_value(batch_size) OVER newest_first
    AND device IS NOT DISTINCT FROM first_value(device) OVER newest_first;
