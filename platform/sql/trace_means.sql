-- The trace of an entry, averaged: one row for each place in it and measure, with the number of
-- samples and of prompts that have a value there, and the mean over prompts with its deviation.
WITH measured AS (
    UNPIVOT (
        SELECT place, step, phase, prompt_id, mask_ratio, entropy, divergence, redrawn
        FROM entry_samples
        JOIN sample_traces USING (sample_id)
        WHERE study = $study
            AND entry = $entry
    )
    ON mask_ratio, entropy, divergence, redrawn
    INTO NAME measure VALUE value
),
prompt_means AS (
    SELECT place, step, phase, measure, prompt_id, count(*) AS samples, avg(value) AS value
    FROM measured
    GROUP BY ALL
)
SELECT
    place,
    step,
    phase,
    measure,
    sum(samples)::BIGINT AS samples,
    count(*) AS prompts,
    avg(value) AS mean,
    stddev_samp(value) AS deviation
FROM prompt_means
GROUP BY place, step, phase, measure
ORDER BY place, step, phase, measure;
