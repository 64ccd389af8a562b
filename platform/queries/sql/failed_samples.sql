-- What failed in a study, a page of it: what is still missing first, then the newest run's. Texts are
-- cut, for a store may hold ones of any length. `is_mended`: a later try has made or scored it.
WITH made AS (
    SELECT DISTINCT sample_id
    FROM entry_samples
    SEMI JOIN failures USING (sample_id)
),
scored AS (
    SELECT DISTINCT sample_id, metric AS stage
    FROM scores
    SEMI JOIN failures USING (sample_id)
    WHERE isfinite(value)
        OR vector IS NOT NULL
),
failed AS (
    SELECT DISTINCT
        entries.place,
        entries.entry,
        failures.stage,
        failures.error_type,
        left(failures.message, $length) AS message,
        left(failures.prompt, $length) AS prompt,
        failures.seed,
        failures.attempt,
        failures.run_id,
        failures.sample_id,
        scored.sample_id IS NOT NULL
            OR (made.sample_id IS NOT NULL AND failures.stage IN ('load', 'generate')) AS is_mended
    FROM failures
    JOIN entries USING (model, recipe_id)
    JOIN entry_seeds USING (study, entry, seed)
    JOIN asked_prompts USING (study, prompt)
    LEFT JOIN made USING (sample_id)
    LEFT JOIN scored USING (sample_id, stage)
    WHERE entries.study = $study
)
SELECT failed.* EXCLUDE (place), count(*) OVER () AS total
FROM failed
LEFT JOIN runs USING (run_id)
ORDER BY
    is_mended,
    runs.started DESC NULLS LAST,
    run_id DESC,
    place,
    prompt,
    seed,
    stage,
    attempt DESC,
    sample_id
LIMIT $count
OFFSET $skip;
