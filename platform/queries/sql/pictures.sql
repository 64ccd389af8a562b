-- Some pictures of some parts, once each. This is the only query that reads image bytes, and it
-- opens no other part than those named.
SELECT sample_id, any_value(image.bytes) AS png
FROM read_parquet($parts, hive_partitioning = false)
WHERE list_contains($sample_ids, sample_id)
GROUP BY sample_id
ORDER BY sample_id;
