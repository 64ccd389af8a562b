-- One finite score for each sample of an entry and metric. A score that is missing, NULL or not
-- finite has no row, and a score made twice (it is a function of the sample) has one. The columns that
-- follow from the sample are no keys of the group: keys are what grouping millions of rows costs.
CREATE VIEW entry_scores AS
SELECT
    entry_samples.study,
    scores.metric,
    entry_samples.entry,
    entry_samples.sample_id,
    any_value(entry_samples.task) AS task,
    any_value(entry_samples.prompt_id) AS prompt_id,
    any_value(entry_samples.seed_place) AS seed_place,
    min(scores.value) AS value
FROM entry_samples
JOIN scores USING (sample_id)
JOIN study_metrics USING (study, metric, metric_version)
WHERE isfinite(scores.value)
GROUP BY
    entry_samples.study,
    scores.metric,
    entry_samples.entry,
    entry_samples.sample_id;
