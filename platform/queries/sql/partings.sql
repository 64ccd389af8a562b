-- How two entries of a study part, on so many pairs of same prompt and seed place: the means over
-- prompts, with their deviation and the number of prompts and pairs behind them, of what the tokens
-- after a step have in common. `differ`: share of tokens that are not the same, an unknown one being
-- other than any known; `conflict`: share, of those known to both, that are not the same. `first`,
-- which has no step of its own: the first step after which any differ, of pairs that ever do.
WITH pairs AS (
    SELECT prompt_id, seed_place, mine.sample_id, theirs.sample_id AS other_id
    FROM entry_samples AS mine
    JOIN entry_samples AS theirs USING (study, prompt_id, seed_place)
    WHERE study = $study
        AND mine.entry = $entry
        AND theirs.entry = $opponent
    ORDER BY seed_place, prompt_id
    LIMIT $pairs
),
states AS (
    SELECT
        sample_id,
        step,
        tokens,
        -- a masked model's id of unknown tokens lies above all others
        CASE
            WHEN mask_ratio > 0 THEN if(list_min(tokens) < 0, list_min(tokens), list_max(tokens))
        END AS unknown
    FROM sample_traces
    WHERE sample_id IN (
        SELECT sample_id FROM pairs UNION ALL SELECT other_id FROM pairs
    )
    QUALIFY row_number() OVER (PARTITION BY sample_id, step ORDER BY place DESC) = 1
),
tokens AS (
    SELECT
        pairs.prompt_id,
        pairs.seed_place,
        mine.step,
        mine.unknown AS our_unknown,
        theirs.unknown AS their_unknown,
        unnest(mine.tokens) AS our_token,
        unnest(theirs.tokens) AS their_token
    FROM pairs
    JOIN states AS mine USING (sample_id)
    JOIN states AS theirs ON theirs.sample_id = pairs.other_id
        AND theirs.step = mine.step
        AND len(theirs.tokens) = len(mine.tokens)
),
by_pair AS (
    SELECT
        prompt_id,
        seed_place,
        step,
        avg((our_token <> their_token)::INTEGER) AS differ,
        avg((our_token <> their_token)::INTEGER) FILTER (
            our_token IS DISTINCT FROM our_unknown
            AND their_token IS DISTINCT FROM their_unknown
        ) AS conflict
    FROM tokens
    GROUP BY prompt_id, seed_place, step
),
measured AS (
    SELECT step, 'differ' AS measure, prompt_id, differ AS value
    FROM by_pair
    UNION ALL
    SELECT step, 'conflict', prompt_id, conflict
    FROM by_pair
    UNION ALL
    SELECT NULL, 'first', prompt_id, min(step)
    FROM by_pair
    WHERE differ > 0
    GROUP BY prompt_id, seed_place
),
prompt_means AS (
    SELECT step, measure, prompt_id, count(*) AS samples, avg(value) AS value
    FROM measured
    WHERE value IS NOT NULL
    GROUP BY step, measure, prompt_id
)
SELECT
    step,
    measure,
    sum(samples)::BIGINT AS samples,
    count(*) AS prompts,
    avg(value) AS mean,
    stddev_samp(value) AS deviation
FROM prompt_means
GROUP BY step, measure
ORDER BY step NULLS LAST, measure;
