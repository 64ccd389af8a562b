-- The metrics of a study in its own order.
SELECT metric, metric_version
FROM study_metrics
WHERE study = $study
ORDER BY place;
