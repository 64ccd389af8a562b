-- The entries of a study in its own order, with what each sample cost. Seconds are those of text,
-- network and decoding per image: the median over batches, a worker's first batch with a model left
-- out unless there is no other.
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
        bool_and(profiles.warm) AS warm,
        sum(profiles.seconds) / max(profiles.images) AS seconds_per_image,
        max(profiles.peak_memory_bytes) AS peak_memory_bytes
    FROM shards
    JOIN profiles USING (shard_id)
    WHERE profiles.stage IN ('text', 'network', 'decode')
        AND profiles.images > 0
    GROUP BY ALL
),
batch_costs AS (
    SELECT
        entry,
        count(*) FILTER (warm) AS warm_batches,
        coalesce(
            median(seconds_per_image) FILTER (warm),
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
    entries.recipe,
    entries.recipe_id,
    entries.benchmark,
    entries.baseline,
    entries.control_of,
    coalesce(sample_costs.samples, 0) AS samples,
    coalesce(sample_costs.prompts, 0) AS prompts,
    sample_costs.row_evaluations,
    batch_costs.seconds_per_image,
    coalesce(batch_costs.warm_batches, 0) AS warm_batches,
    batch_costs.peak_memory_bytes
FROM entries
LEFT JOIN sample_costs USING (entry)
LEFT JOIN batch_costs USING (entry)
WHERE entries.study = $study
ORDER BY entries.place;
