-- What each entry of a study wins against an opponent on a metric: of each prompt that has a pair, in
-- the order in which the study's newest run lists them, its place and the share of its pairs that lie
-- above the opponent's, ties counting half.
WITH listed AS (
    SELECT unnest(prompts) AS item, generate_subscripts(prompts, 1) - 1 AS place
    FROM newest_runs
    WHERE study = $study
),
placed AS (
    SELECT item.prompt_id::prompt_enum AS prompt_id, place
    FROM listed
),
scored AS (
    SELECT entry, prompt_id, seed_place, value
    FROM entry_scores
    WHERE study = $study
        AND metric = $metric
),
opponent AS (
    SELECT prompt_id, seed_place, value AS opponent_value
    FROM scored
    WHERE entry = $opponent
),
by_prompt AS (
    SELECT
        entry,
        prompt_id,
        avg((1 + sign(value - opponent_value)) / 2) AS above
    FROM scored
    JOIN opponent USING (prompt_id, seed_place)
    WHERE entry <> $opponent
    GROUP BY entry, prompt_id
)
SELECT
    entry,
    list(place ORDER BY place) AS places,
    list(above ORDER BY place) AS above
FROM by_prompt
JOIN placed USING (prompt_id)
GROUP BY entry
ORDER BY entry;
