-- The scores of some prompts at one seed place.
SELECT entry, prompt_id, metric, value
FROM entry_scores
WHERE study = $study
    AND seed_place = $seed_place
    AND list_contains($prompt_ids, prompt_id)
ORDER BY entry, prompt_id, metric;
