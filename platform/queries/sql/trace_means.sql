-- The traces of some entries, averaged: one row for each entry, place in it and measure, with the
-- number of samples and of prompts that have a value there, and the mean over prompts with its
-- deviation. `revealed` is what the mask ratio lost since the place before.
WITH placed AS (
    SELECT
        entry,
        prompt_id,
        place,
        step,
        phase,
        mask_ratio,
        lag(mask_ratio, 1, 1.0) OVER (
            PARTITION BY entry, sample_id
            ORDER BY place
        ) - mask_ratio AS revealed,
        entropy,
        divergence,
        redrawn
    FROM entry_samples
    JOIN sample_traces USING (sample_id)
    WHERE study = $study
        AND list_contains($entries, entry)
),
measured AS (
    UNPIVOT placed
    ON mask_ratio, revealed, entropy, divergence, redrawn
    INTO NAME measure VALUE value
),
prompt_means AS (
    SELECT
        entry,
        place,
        step,
        phase,
        measure,
        prompt_id,
        count(*) AS samples,
        avg(value) AS value
    FROM measured
    WHERE isfinite(value)
    GROUP BY ALL
)
SELECT
    entry,
    place,
    step,
    phase,
    measure,
    sum(samples)::BIGINT AS samples,
    count(*) AS prompts,
    avg(value) AS mean,
    stddev_samp(value) AS deviation
FROM prompt_means
GROUP BY entry, place, step, phase, measure
ORDER BY entry, place, step, phase, measure;
