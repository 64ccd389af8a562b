-- The feature vectors of the real pictures that a study's samples are compared with. A reference
-- set is written as a whole; of several, the first run's is taken.
SELECT refs.vector
FROM "references" AS refs
JOIN study_metrics USING (metric, metric_version)
WHERE study_metrics.study = $study
    AND refs.metric = $metric
    AND refs.benchmark IN (SELECT benchmark FROM entries WHERE study = $study)
QUALIFY dense_rank() OVER (ORDER BY refs.run_id) = 1
ORDER BY refs.vector;
