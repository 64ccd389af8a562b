-- How the newest run of a study was to stop: the error level and margin of a run until decided, NULL
-- of any other, with the number of its prompts, and how many of them it asked each entry for.
SELECT
    until_decided,
    equivalent,
    len(prompts) AS prompts,
    [entry.name FOR entry IN entries] AS entries,
    [coalesce(entry.prompts, len(prompts)) FOR entry IN entries] AS asked
FROM newest_runs
WHERE study = $study;
