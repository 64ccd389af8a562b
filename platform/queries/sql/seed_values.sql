-- The scores of each entry of a study on a metric at the first seed places, one row for each prompt that
-- has all of them.
SELECT
    entry,
    prompt_id,
    list(value ORDER BY seed_place) AS values
FROM entry_scores
WHERE study = $study
    AND metric = $metric
    AND seed_place <= $seeds
GROUP BY entry, prompt_id
HAVING count(*) = $seeds
ORDER BY entry, prompt_id;
