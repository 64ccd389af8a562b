-- A prompt and seed place of which two entries both have a picture, as one row for each of them: one
-- with the fewest votes on these two, the first of these in an order that a number stands for. With it
-- come the number of such prompts and seed places, and how many of them have a vote.
WITH sides AS (
    SELECT study, prompt_id, seed_place, entry, sample_id, shard_id
    FROM entry_samples
    WHERE study = $study
        AND entry IN ($entry, $opponent)
),
common AS (
    SELECT prompt_id, seed_place
    FROM sides
    GROUP BY prompt_id, seed_place
    HAVING count(DISTINCT entry) = 2
),
voted AS (
    SELECT prompt_id, seed_place, count(*) AS votes
    FROM study_votes
    WHERE study = $study
        AND entry IN ($entry, $opponent)
        AND opponent IN ($entry, $opponent)
    GROUP BY prompt_id, seed_place
),
chosen AS (
    SELECT prompt_id, seed_place, count(*) OVER () AS questions, count(votes) OVER () AS voted
    FROM common
    LEFT JOIN voted USING (prompt_id, seed_place)
    ORDER BY coalesce(votes, 0), hash(prompt_id::VARCHAR, seed_place, $shuffle)
    LIMIT 1
)
SELECT
    sides.entry,
    sides.prompt_id,
    asked_prompts.prompt,
    sides.seed_place,
    sides.sample_id,
    entries.model,
    entries.weights_hash,
    entries.recipe_id,
    entries.benchmark,
    entry_seeds.seed,
    shard_parts.filename AS part,
    chosen.questions,
    chosen.voted
FROM chosen
JOIN sides USING (prompt_id, seed_place)
JOIN entries USING (study, entry)
JOIN entry_seeds USING (study, entry, seed_place)
JOIN asked_prompts USING (study, prompt_id)
LEFT JOIN shard_parts USING (shard_id)
QUALIFY row_number() OVER (PARTITION BY sides.entry ORDER BY part) = 1
ORDER BY sides.entry = $opponent;
