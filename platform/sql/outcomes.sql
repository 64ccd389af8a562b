-- How often each entry of a study scores above, equal to and below an opponent on the same prompt and
-- seed place: one row for each metric, entry and opponent, with counts in lists by prompt, and how many
-- scores of either have none beside them. All metrics and opponents, or the one named.
WITH scored AS (
    SELECT metric, entry, prompt_id, seed_place, value
    FROM entry_scores
    WHERE study = $study
        AND ($metric IS NULL OR metric = $metric)
),
opponents AS (
    SELECT metric, entry AS opponent, prompt_id, seed_place, value AS opponent_value
    FROM scored
    WHERE $opponent IS NULL OR entry = $opponent
),
by_prompt AS (
    SELECT
        metric,
        entry,
        opponent,
        prompt_id,
        count(*) FILTER (value > opponent_value) AS above,
        count(*) FILTER (value = opponent_value) AS equal,
        count(*) FILTER (value < opponent_value) AS below
    FROM scored
    JOIN opponents USING (metric, prompt_id, seed_place)
    WHERE entry <> opponent
    GROUP BY metric, entry, opponent, prompt_id
),
counted AS (
    SELECT
        metric,
        entry,
        opponent,
        list(above ORDER BY prompt_id) AS above,
        list(equal ORDER BY prompt_id) AS equal,
        list(below ORDER BY prompt_id) AS below,
        sum(above + equal + below) AS pairs
    FROM by_prompt
    GROUP BY metric, entry, opponent
),
sizes AS (
    SELECT metric, entry, count(*) AS scores
    FROM scored
    GROUP BY metric, entry
),
met AS (
    SELECT
        study_metrics.metric,
        mine.entry,
        theirs.entry AS opponent,
        coalesce(own.scores, 0) + coalesce(other.scores, 0) AS scores
    FROM study_metrics
    JOIN entries AS mine USING (study)
    JOIN entries AS theirs USING (study)
    LEFT JOIN sizes AS own ON own.metric = study_metrics.metric AND own.entry = mine.entry
    LEFT JOIN sizes AS other ON other.metric = study_metrics.metric AND other.entry = theirs.entry
    WHERE study = $study
        AND mine.entry <> theirs.entry
        AND ($opponent IS NULL OR theirs.entry = $opponent)
)
SELECT
    metric,
    entry,
    opponent,
    coalesce(above, []) AS above,
    coalesce(equal, []) AS equal,
    coalesce(below, []) AS below,
    (scores - 2 * coalesce(pairs, 0))::BIGINT AS missing
FROM met
LEFT JOIN counted USING (metric, entry, opponent)
WHERE scores > 0
ORDER BY metric, entry, opponent;
