-- The prompts of each study with their places, from 1, as its newest run names them.
CREATE OR REPLACE TYPE prompt_enum AS ENUM (
    SELECT DISTINCT unnest(prompts).prompt_id AS prompt_id FROM newest_runs ORDER BY prompt_id
);
CREATE OR REPLACE TABLE asked_prompts AS
WITH listed AS (
    SELECT study, unnest(prompts) AS item, generate_subscripts(prompts, 1) AS prompt_place
    FROM newest_runs
)
SELECT study, item.prompt_id::prompt_enum AS prompt_id, item.prompt, prompt_place
FROM listed;
