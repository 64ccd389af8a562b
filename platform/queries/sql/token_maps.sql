-- The tokens of one sample after each change of them, in order.
SELECT place, step, phase, mask_ratio, tokens
FROM sample_traces
WHERE sample_id = $sample_id
ORDER BY place;
