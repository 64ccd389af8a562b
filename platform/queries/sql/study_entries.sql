-- The entries of a study in its own order, with what each sample cost. Seconds are those of text,
-- network, drawing and decoding per image: the median over batches, without a worker's first batch
-- with a model and without traced ones unless there is no other.
WITH batches AS (
    SELECT
        entry,
        shard_id,
        run_id,
        any_value(batch_size) AS batch_size,
        any_value(device) AS device,
        bool_and(typical) AS typical,
        fsum(seconds) AS seconds_per_image,
        max(peak_memory_bytes) AS peak_memory_bytes
    FROM entry_batches
    WHERE study = $study
        AND stage IN ('text', 'network', 'draw', 'decode')
    GROUP BY entry, shard_id, run_id
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
    FROM batches
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
