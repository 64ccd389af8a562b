-- The part in which each shard's samples lie: pictures are read from there and nowhere else.
CREATE OR REPLACE TABLE shard_parts AS
SELECT DISTINCT shard_id::shard_enum AS shard_id, filename
FROM samples
WHERE shard_id IS NOT NULL;
