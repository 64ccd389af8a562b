-- How the newest run of a study was to stop: the error level and margin of a run until decided, NULL
-- of any other, with the number of its prompts, its baseline, and how many prompts it asked each entry
-- for.
SELECT
    until_decided,
    equivalent,
    len(prompts) AS prompts,
    list_filter(entries, lambda entry: entry.baseline)[1].name AS baseline,
    [entry.name FOR entry IN entries] AS entries,
    [coalesce(entry.prompts, len(prompts)) FOR entry IN entries] AS asked
FROM newest_runs
WHERE study = $study;
