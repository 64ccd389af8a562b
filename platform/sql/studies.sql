-- The studies of the store, the one run last first.
SELECT study_name AS study
FROM runs
GROUP BY study_name
ORDER BY max(started) DESC, study;
