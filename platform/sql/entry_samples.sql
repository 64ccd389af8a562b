-- The samples of each entry, once each, with the place of their seed in the entry's list: entries
-- are paired by prompt and this place, not by the seed itself. A store may hold more prompts than the
-- study now names: those are left out.
CREATE VIEW entry_samples AS
WITH asked AS (
    SELECT study, unnest(prompts, recursive := true)
    FROM newest_runs
)
SELECT
    entries.study,
    entries.entry,
    samples.sample_id,
    samples.task,
    samples.prompt_id,
    samples.prompt,
    list_position(entries.seeds, samples.seed) AS seed_place,
    samples.row_evaluations,
    samples.shard_id
FROM entries
JOIN samples USING (model, weights_hash, recipe_id, benchmark)
JOIN asked USING (study, prompt_id, prompt)
WHERE list_contains(entries.seeds, samples.seed)
QUALIFY row_number() OVER (
    PARTITION BY entries.study, entries.entry, samples.sample_id
    ORDER BY samples.shard_id, samples.run_id
) = 1;
