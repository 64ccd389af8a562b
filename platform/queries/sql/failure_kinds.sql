-- What failed in a study, by stage and type of error: samples, tries, and the samples that are there by
-- now, made or scored by a later try. The message is that of one of them.
WITH made AS (
    SELECT DISTINCT sample_id
    FROM samples
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
        entries.entry,
        failures.*,
        made.sample_id IS NOT NULL AND failures.stage IN ('load', 'generate') AS is_made,
        scored.sample_id IS NOT NULL AS is_scored
    FROM failures
    JOIN entries USING (model, recipe_id)
    JOIN entry_seeds USING (study, entry, seed)
    JOIN asked_prompts USING (study, prompt)
    LEFT JOIN made USING (sample_id)
    LEFT JOIN scored USING (sample_id, stage)
    WHERE entries.study = $study
)
SELECT
    stage,
    error_type,
    count(DISTINCT entry) AS entries,
    count(DISTINCT sample_id) AS samples,
    count(DISTINCT sample_id) FILTER (is_made OR is_scored) AS mended,
    count(*) AS tries,
    min(message) AS message
FROM failed
GROUP BY stage, error_type
ORDER BY samples DESC, stage, error_type;
