-- The entries of a study in its own order, with what each sample cost. Seconds are those of text,
-- network, drawing and decoding per image: the median over batches, without a worker's first batch
-- with a model and without traced ones unless there is no other. Batches of another size or device
-- are no repetitions: those of the newest run that measured the entry count.
WITH shards AS (
    SELECT DISTINCT study, entry, shard_id
    FROM entry_samples
    WHERE study = $study
),
batches AS (
    SELECT
        shards.entry,
        shards.shard_id,
        profiles.run_id,
        runs.started,
        runs.batch_size,
        any_value(profiles.device) AS device,
        bool_and(profiles.warm AND NOT coalesce(profiles.traced, false)) AS typical,
        sum(profiles.seconds) / max(profiles.images) AS seconds_per_image,
        max(profiles.peak_memory_bytes) AS peak_memory_bytes
    FROM shards
    JOIN profiles USING (shard_id)
    LEFT JOIN runs ON runs.run_id = profiles.run_id
    WHERE profiles.stage IN ('text', 'network', 'draw', 'decode')
        AND profiles.images > 0
    GROUP BY ALL
),
alike AS (
    SELECT
        *,
        first_value(batch_size) OVER newest_first AS newest_size,
        first_value(device) OVER newest_first AS newest_device
    FROM batches
    WINDOW newest_first AS (
        PARTITION BY entry
        ORDER BY started DESC NULLS LAST, run_id DESC, shard_id
    )
    QUALIFY batch_size IS NOT DISTINCT FROM newest_size
        AND device IS NOT DISTINCT FROM newest_device
),
batch_costs AS (
    SELECT
        entry,
        any_value(batch_size) AS batch_size,
        any_value(device) AS device,
        count(*) FILTER (typical) AS typical_batches,
        coalesce(
            median(seconds_per_image) FILTER (typical),
            median(seconds_per_image)
        ) AS seconds_per_image,
        max(peak_memory_bytes) AS peak_memory_bytes
    FROM alike
    GROUP BY entry
),
sample_costs AS (
    SELECT
        entry,
        count(*) AS samples,
        count(DISTINCT prompt_id) AS prompts,
        avg(row_evaluations) AS row_evaluations
    FROM entry_samples
    WHERE study = $study
    GROUP BY entry
)
SELECT
    entries.entry,
    entries.model,
    entries.weights_hash,
    entries.dtype,
    entries.compiled,
    entries.recipe,
    entries.recipe_id,
    entries.benchmark,
    entries.baseline,
    entries.control_of,
    coalesce(sample_costs.samples, 0) AS samples,
    coalesce(sample_costs.prompts, 0) AS prompts,
    sample_costs.row_evaluations,
    batch_costs.seconds_per_image,
    coalesce(batch_costs.typical_batches, 0) AS typical_batches,
    batch_costs.batch_size,
    batch_costs.device,
    batch_costs.peak_memory_bytes
FROM entries
LEFT JOIN sample_costs USING (entry)
LEFT JOIN batch_costs USING (entry)
WHERE entries.study = $study
ORDER BY entries.place;
