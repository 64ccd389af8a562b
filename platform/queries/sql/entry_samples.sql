-- The samples of each entry, once each, with the place of their seed in the entry's list: entries
-- are paired by prompt and this place, not by the seed itself. A store may hold more prompts than the
-- study now names, or than it asked an entry for: those are left out.
CREATE OR REPLACE TYPE task_enum AS ENUM (
    SELECT DISTINCT task FROM samples WHERE task IS NOT NULL ORDER BY task
);
CREATE OR REPLACE TYPE shard_enum AS ENUM (
    SELECT DISTINCT shard_id FROM samples WHERE shard_id IS NOT NULL ORDER BY shard_id
);
CREATE OR REPLACE TABLE entry_samples AS
SELECT
    entries.study,
    entries.entry,
    samples.sample_id,
    samples.task::task_enum AS task,
    asked_prompts.prompt_id,
    asked_prompts.prompt_place,
    entry_seeds.seed_place,
    samples.row_evaluations,
    samples.shard_id::shard_enum AS shard_id
FROM samples
JOIN entries USING (model, weights_hash, recipe_id, benchmark)
JOIN entry_seeds USING (study, entry, seed)
JOIN asked_prompts USING (study, prompt_id, prompt)
WHERE entries.asked IS NULL
    OR asked_prompts.prompt_place <= entries.asked;

-- A sample made twice counts once. To sort millions of rows for that takes longer than all the rest,
-- so that only those are looked at where fewer seeds are counted than rows.
DELETE FROM entry_samples
WHERE rowid IN (
    WITH crowded AS (
        SELECT study, entry, prompt_id
        FROM entry_samples
        GROUP BY study, entry, prompt_id
        HAVING bit_count(bitstring_agg(seed_place)) < count(*)
    )
    SELECT entry_samples.rowid
    FROM entry_samples
    JOIN crowded USING (study, entry, prompt_id)
    QUALIFY row_number() OVER (
        PARTITION BY study, entry, prompt_id, seed_place
        ORDER BY shard_id, sample_id
    ) > 1
);
