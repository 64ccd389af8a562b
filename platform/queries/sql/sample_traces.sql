-- The trace of each sample, once: made again by a later run, it would be the same.
CREATE VIEW sample_traces AS
SELECT *
FROM traces
QUALIFY rank() OVER (PARTITION BY sample_id ORDER BY shard_id, run_id) = 1;
