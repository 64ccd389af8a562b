-- One finite score for each sample of an entry and metric. A score that is missing, NULL or not
-- finite has no row, and a score made twice (it is a function of the sample) has one.
CREATE VIEW entry_scores AS
SELECT
    entry_samples.study,
    scores.metric,
    entry_samples.entry,
    entry_samples.sample_id,
    entry_samples.task,
    entry_samples.prompt_id,
    entry_samples.seed_place,
    min(scores.value) AS value
FROM entry_samples
JOIN scores USING (sample_id)
JOIN study_metrics USING (study, metric, metric_version)
WHERE isfinite(scores.value)
GROUP BY ALL;
