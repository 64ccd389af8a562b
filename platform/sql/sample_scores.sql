-- The scores of some prompts at the first seed place.
SELECT entry, prompt_id, metric, value
FROM entry_scores
WHERE study = $study
    AND seed_place = 1
    AND list_contains($prompt_ids, prompt_id)
ORDER BY entry, prompt_id, metric;
