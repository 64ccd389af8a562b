-- The pairs of a study on a metric, one row for each entry and opponent, in lists of equal length;
-- all opponents, or the one named.
SELECT
    entry,
    opponent,
    list(prompt_id ORDER BY prompt_id, seed_place) AS prompt_ids,
    list(value ORDER BY prompt_id, seed_place) AS values,
    list(opponent_value ORDER BY prompt_id, seed_place) AS opponent_values
FROM pairs
WHERE study = $study
    AND metric = $metric
    AND ($opponent IS NULL OR opponent = $opponent)
GROUP BY entry, opponent
ORDER BY entry, opponent;
