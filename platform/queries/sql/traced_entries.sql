-- The entries of a study that have traces, in its own order.
SELECT entries.entry
FROM entries
WHERE entries.study = $study
    AND EXISTS (
        SELECT 1
        FROM entry_samples
        JOIN traces USING (sample_id)
        WHERE entry_samples.study = entries.study
            AND entry_samples.entry = entries.entry
    )
ORDER BY entries.place;
