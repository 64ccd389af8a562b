-- The number of tokens of an entry's pictures, as one of them tells: the steps of a model that takes
-- one for each.
WITH examples AS (
    SELECT entry, min(sample_id) AS sample_id
    FROM entry_samples
    WHERE study = $study
    GROUP BY entry
)
SELECT examples.entry, max(len(samples.tokens)) AS tokens
FROM examples
JOIN samples USING (sample_id)
GROUP BY examples.entry
ORDER BY examples.entry;
