-- The pictures of some prompts at the first seed place, one row for each entry and prompt. This is
-- the only query that reads image bytes.
SELECT
    entry_samples.entry,
    entry_samples.prompt_id,
    entry_samples.sample_id,
    samples.image.bytes AS png,
    samples.seed
FROM entry_samples
JOIN samples USING (sample_id)
WHERE entry_samples.study = $study
    AND entry_samples.seed_place = 1
    AND list_contains($prompt_ids, entry_samples.prompt_id)
QUALIFY row_number() OVER (PARTITION BY entry_samples.entry, entry_samples.sample_id) = 1
ORDER BY entry_samples.entry, entry_samples.prompt_id;
