-- How often each entry of a study beats one opponent on the same prompt and seed place, by metric: for
-- an overview of millions of scores. Pairs with one side alone are left out.
WITH opponents AS (
    SELECT metric, prompt_id, seed_place, value
    FROM entry_scores
    WHERE study = $study
        AND entry = $opponent
)
SELECT
    mine.metric,
    mine.entry,
    count(*) AS pairs,
    count(*) FILTER (mine.value > opponents.value) AS above,
    count(*) FILTER (mine.value = opponents.value) AS equal
FROM entry_scores AS mine
JOIN opponents USING (metric, prompt_id, seed_place)
WHERE mine.study = $study
    AND mine.entry <> $opponent
GROUP BY mine.metric, mine.entry
ORDER BY mine.metric, mine.entry;
