-- The studies of the store, the one run last first, with the benchmark that each was run on last.
SELECT
    study_name AS study,
    coalesce(arg_max(entries[1].benchmark, started), '') AS benchmark
FROM runs
GROUP BY study_name
ORDER BY max(started) DESC, study;
