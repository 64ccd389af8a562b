-- The prompts of a study with their places, from 1.
SELECT prompt_place, prompt_id, prompt
FROM asked_prompts
WHERE study = $study
ORDER BY prompt_place;
