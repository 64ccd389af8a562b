-- Every ordered pair of entries on each (prompt, seed place) that at least one of them has a score
-- for; the side without one is NULL.
CREATE VIEW pairs AS
WITH seen_from_one_side AS (
    SELECT
        mine.study,
        mine.metric,
        mine.entry,
        entries.entry AS opponent,
        mine.task,
        mine.prompt_id,
        mine.seed_place,
        mine.value,
        theirs.value AS opponent_value
    FROM entry_scores AS mine
    JOIN entries
        ON entries.study = mine.study
        AND entries.entry <> mine.entry
    LEFT JOIN entry_scores AS theirs
        ON theirs.study = mine.study
        AND theirs.metric = mine.metric
        AND theirs.entry = entries.entry
        AND theirs.prompt_id = mine.prompt_id
        AND theirs.seed_place = mine.seed_place
)
SELECT *
FROM seen_from_one_side
UNION ALL
SELECT
    study,
    metric,
    opponent AS entry,
    entry AS opponent,
    task,
    prompt_id,
    seed_place,
    NULL AS value,
    value AS opponent_value
FROM seen_from_one_side
WHERE opponent_value IS NULL;
