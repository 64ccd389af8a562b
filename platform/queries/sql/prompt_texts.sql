-- What some prompts of a study say.
SELECT prompt_id, prompt
FROM asked_prompts
WHERE study = $study
    AND list_contains($prompt_ids, prompt_id)
ORDER BY prompt_id;
