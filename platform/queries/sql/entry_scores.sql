-- One finite score for each sample of an entry and metric. A score that is missing, NULL, not finite
-- or so large that its square is not has no row.
CREATE OR REPLACE TABLE entry_scores AS
SELECT
    entry_samples.study,
    study_metrics.metric,
    entry_samples.entry,
    entry_samples.task,
    entry_samples.prompt_id,
    entry_samples.prompt_place,
    entry_samples.seed_place,
    scores.value
FROM scores
JOIN entry_samples USING (sample_id)
JOIN study_metrics USING (study, metric, metric_version)
WHERE isfinite(scores.value)
    AND abs(scores.value) < 1e100;

-- A score made twice (it is a function of the sample) has one row, found as in entry_samples.
DELETE FROM entry_scores
WHERE rowid IN (
    WITH crowded AS (
        SELECT study, metric, entry, prompt_id
        FROM entry_scores
        GROUP BY study, metric, entry, prompt_id
        HAVING bit_count(bitstring_agg(seed_place)) < count(*)
    )
    SELECT entry_scores.rowid
    FROM entry_scores
    JOIN crowded USING (study, metric, entry, prompt_id)
    QUALIFY row_number() OVER (
        PARTITION BY study, metric, entry, prompt_id, seed_place
        ORDER BY value
    ) > 1
);
