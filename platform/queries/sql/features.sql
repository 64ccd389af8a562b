-- The feature vectors of a study's samples for a set metric, once each.
SELECT
    entry_samples.entry,
    entry_samples.prompt_id,
    any_value(scores.vector) AS vector
FROM entry_samples
JOIN scores USING (sample_id)
JOIN study_metrics USING (study, metric, metric_version)
WHERE entry_samples.study = $study
    AND scores.metric = $metric
    AND scores.vector IS NOT NULL
GROUP BY entry_samples.entry, entry_samples.prompt_id, entry_samples.sample_id
ORDER BY ALL;
