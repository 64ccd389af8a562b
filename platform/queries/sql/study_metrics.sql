-- The metrics of each study in its own order, at the version of its newest run.
CREATE OR REPLACE TYPE metric_enum AS ENUM (
    SELECT DISTINCT unnest(metrics).name AS metric FROM newest_runs ORDER BY metric
);
CREATE OR REPLACE TABLE study_metrics AS
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
    item.name::metric_enum AS metric,
    item.version AS metric_version
FROM listed;
