-- How often each entry of a study scores above, equal to and below an opponent on the same prompt and
-- seed place: one row for each metric and two entries, with lists by prompt, in the study's order, of
-- these counts and of both entries' means over the pairs, whether all values are 0 or 1, and how many
-- scores of either have none beside them, of prompts that both were asked for. Metrics, entries, tasks
-- and prompts are all, or those named; where no opponent is named every two entries meet once, the
-- first in the study's order as the entry.
WITH met AS (
    SELECT
        mine.entry,
        theirs.entry AS opponent,
        coalesce(least(mine.asked, theirs.asked), 1_000_000_000) AS asked -- prompts
    FROM entries AS mine
    JOIN entries AS theirs USING (study)
    WHERE study = $study
        AND ($entry IS NULL OR mine.entry = $entry)
        AND CASE
            WHEN $opponent IS NULL THEN mine.place < theirs.place
            ELSE mine.entry <> theirs.entry AND theirs.entry = $opponent
        END
),
scored AS (
    SELECT metric, entry, prompt_id, prompt_place, seed_place, value
    FROM entry_scores
    WHERE study = $study
        AND ($metric IS NULL OR metric = $metric)
        AND ($task IS NULL OR task = $task)
        AND ($prompt_ids IS NULL OR prompt_id IN (SELECT unnest($prompt_ids)))
),
by_prompt AS (
    SELECT
        scored.metric,
        met.entry,
        met.opponent,
        scored.prompt_id,
        scored.prompt_place,
        count(*) FILTER (scored.value > other.value) AS above,
        count(*) FILTER (scored.value = other.value) AS equal,
        count(*) FILTER (scored.value < other.value) AS below,
        favg(scored.value) AS ours,
        favg(other.value) AS theirs,
        bool_and(scored.value IN (0, 1) AND other.value IN (0, 1)) AS is_binary
    FROM met
    JOIN scored ON scored.entry = met.entry
    JOIN scored AS other ON other.entry = met.opponent
        AND other.metric = scored.metric
        AND other.prompt_id = scored.prompt_id
        AND other.seed_place = scored.seed_place
    GROUP BY ALL
),
counted AS (
    SELECT
        metric,
        entry,
        opponent,
        list(above ORDER BY prompt_place) AS above,
        list(equal ORDER BY prompt_place) AS equal,
        list(below ORDER BY prompt_place) AS below,
        list(ours ORDER BY prompt_place) AS ours,
        list(theirs ORDER BY prompt_place) AS theirs,
        bool_and(is_binary) AS is_binary,
        sum(above + equal + below) AS pairs
    FROM by_prompt
    GROUP BY metric, entry, opponent
),
sizes AS (
    SELECT metric, entry, asked, count(*) AS scores
    FROM scored
    JOIN (SELECT DISTINCT asked FROM met) ON scored.prompt_place <= asked
    GROUP BY metric, entry, asked
),
scored_met AS (
    SELECT
        study_metrics.metric,
        met.entry,
        met.opponent,
        coalesce(own.scores, 0) + coalesce(other.scores, 0) AS scores
    FROM met
    CROSS JOIN study_metrics
    LEFT JOIN sizes AS own ON own.metric = study_metrics.metric
        AND own.entry = met.entry
        AND own.asked = met.asked
    LEFT JOIN sizes AS other ON other.metric = study_metrics.metric
        AND other.entry = met.opponent
        AND other.asked = met.asked
    WHERE study_metrics.study = $study
)
SELECT
    metric,
    entry,
    opponent,
    coalesce(above, []) AS above,
    coalesce(equal, []) AS equal,
    coalesce(below, []) AS below,
    coalesce(ours, []) AS ours,
    coalesce(theirs, []) AS theirs,
    coalesce(is_binary, false) AS is_binary,
    (scores - 2 * coalesce(pairs, 0))::BIGINT AS missing
FROM scored_met
LEFT JOIN counted USING (metric, entry, opponent)
WHERE scores > 0
ORDER BY metric, entry, opponent;
