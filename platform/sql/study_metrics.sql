-- The metrics of each study in its own order, at the version of its newest run.
CREATE VIEW study_metrics AS
WITH newest_runs AS (
    SELECT study_name, metrics
    FROM runs
    QUALIFY row_number() OVER (PARTITION BY study_name ORDER BY started DESC, run_id DESC) = 1
),
listed AS (
    SELECT
        study_name AS study,
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
