-- The newest run of each study: what it says now, whatever it said before. Names that stand in
-- millions of rows are ENUMs, here and below: they are compared, joined and grouped as numbers.
CREATE OR REPLACE TYPE study_enum AS ENUM (
    SELECT DISTINCT study_name FROM runs ORDER BY study_name
);
CREATE OR REPLACE TABLE newest_runs AS
SELECT study_name::study_enum AS study, entries, metrics, prompts, until_decided, equivalent
FROM runs
QUALIFY row_number() OVER (PARTITION BY study_name ORDER BY started DESC, run_id DESC) = 1;
