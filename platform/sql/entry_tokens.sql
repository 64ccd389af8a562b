-- The number of tokens of an entry's pictures: the steps of a model that takes one for each.
SELECT entry_samples.entry, max(len(samples.tokens)) AS tokens
FROM entry_samples
JOIN samples USING (sample_id)
WHERE entry_samples.study = $study
GROUP BY entry_samples.entry
ORDER BY entry_samples.entry;
