-- What each study compares: the entries of its newest run. `control_of` names the entry that this
-- one repeats with other seeds (an A/A control).
CREATE OR REPLACE TYPE entry_enum AS ENUM (
    SELECT DISTINCT unnest(entries).name AS entry FROM newest_runs ORDER BY entry
);
CREATE OR REPLACE TABLE entries AS
WITH listed AS (
    SELECT
        study,
        unnest(entries) AS item,
        generate_subscripts(entries, 1) AS place
    FROM newest_runs
),
flat AS (
    SELECT
        study,
        place,
        item.name::entry_enum AS entry,
        item.model,
        item.weights_hash,
        item.dtype,
        item.compiled,
        item.recipe,
        item.recipe_id,
        item.seeds,
        item.benchmark,
        item.baseline,
        item.prompts AS asked -- the first so many, of a run until decided
    FROM listed
)
SELECT
    *,
    nullif(
        first_value(entry) OVER (
            PARTITION BY study, model, weights_hash, recipe_id, benchmark
            ORDER BY NOT baseline, place
        ),
        entry
    ) AS control_of
FROM flat;
