-- Each prompt on which a metric compares two entries: the share of its pairs in which the entry scores
-- above the opponent, ties counting half, and the same of people's votes, NULL without any.
WITH said AS (
    SELECT prompt_id, CASE WHEN entry = $entry THEN result ELSE 1 - result END AS result
    FROM study_votes
    WHERE study = $study
        AND entry IN ($entry, $opponent)
        AND opponent IN ($entry, $opponent)
),
voted AS (
    SELECT prompt_id, avg(result) AS vote
    FROM said
    GROUP BY prompt_id
),
compared AS (
    SELECT mine.prompt_id, avg((1 + sign(mine.value - theirs.value)) / 2) AS above
    FROM entry_scores AS mine
    JOIN entry_scores AS theirs USING (study, metric, prompt_id, seed_place)
    WHERE study = $study
        AND metric = $metric
        AND mine.entry = $entry
        AND theirs.entry = $opponent
    GROUP BY mine.prompt_id
)
SELECT prompt_id, above, vote
FROM compared
LEFT JOIN voted USING (prompt_id)
ORDER BY prompt_id;
