-- The samples of some prompts at one seed place, with the parts that may hold their pictures.
SELECT
    entry_samples.entry,
    entry_samples.prompt_id,
    entry_samples.sample_id,
    entry_seeds.seed,
    list(shard_parts.filename ORDER BY shard_parts.filename) AS parts
FROM entry_samples
JOIN entry_seeds USING (study, entry, seed_place)
JOIN shard_parts USING (shard_id)
WHERE entry_samples.study = $study
    AND entry_samples.seed_place = $seed_place
    AND list_contains($prompt_ids, entry_samples.prompt_id)
GROUP BY ALL
ORDER BY ALL;
