-- The file of a study as its newest run was given it.
SELECT study AS text
FROM runs
WHERE study_name = $study
ORDER BY started DESC, run_id DESC
LIMIT 1;
