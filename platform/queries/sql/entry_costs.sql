-- What an image of each entry costs, as its batches tell: seconds of text, network, drawing and
-- decoding in a list and as percentiles, joules, and memory. Typical batches count, or all of an entry
-- that has no other; the memory is the highest of any batch.
WITH batches AS (
    SELECT
        entry,
        shard_id,
        run_id,
        any_value(batch_size) AS batch_size,
        any_value(device) AS device,
        bool_and(typical) AS typical,
        fsum(seconds) AS seconds,
        fsum(joules) AS joules,
        max(peak_memory_bytes) AS peak_memory_bytes,
        max(peak_allocated_bytes) AS peak_allocated_bytes,
        any_value(memory_kind) AS memory_kind
    FROM entry_batches
    WHERE study = $study
        AND stage IN ('text', 'network', 'draw', 'decode')
    GROUP BY entry, shard_id, run_id
),
judged AS (
    SELECT *, bool_or(typical) OVER (PARTITION BY entry) AS any_typical
    FROM batches
),
counted AS (
    SELECT
        entry,
        any_value(any_typical) AS is_typical,
        any_value(batch_size) AS batch_size,
        any_value(device) AS device,
        list(seconds ORDER BY seconds) FILTER (typical OR NOT any_typical) AS seconds,
        median(joules) FILTER (typical OR NOT any_typical) AS joules,
        max(peak_memory_bytes) AS peak_memory_bytes,
        max(peak_allocated_bytes) AS peak_allocated_bytes,
        any_value(memory_kind) AS memory_kind
    FROM judged
    GROUP BY entry
)
SELECT
    counted.*,
    list_aggregate(seconds, 'quantile_cont', 0.5) AS p50,
    list_aggregate(seconds, 'quantile_cont', 0.9) AS p90,
    list_aggregate(seconds, 'quantile_cont', 0.99) AS p99
FROM counted
JOIN entries ON entries.study = $study
    AND entries.entry = counted.entry
ORDER BY entries.place;
