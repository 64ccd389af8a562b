-- The metrics of each study in its own order, at the version of its newest run.
CREATE VIEW study_metrics AS
WITH listed AS (
    SELECT
        study,
        unnest(metrics) AS item,
        generate_subscripts(metrics, 1) AS place
    FROM newest_runs
)
SELECT
    study,
    place,
    item.name AS metric,
    item.version AS metric_version
FROM listed;
