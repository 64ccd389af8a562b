-- The newest run of each study: what it says now, whatever it said before.
CREATE VIEW newest_runs AS
SELECT study_name AS study, entries, metrics, prompts
FROM runs
QUALIFY row_number() OVER (PARTITION BY study_name ORDER BY started DESC, run_id DESC) = 1;
