-- A hash of all pictures of each entry of a study, by prompt and seed place; NULL where the pixels of
-- one are not known.
WITH hashed AS (
    SELECT entry, entry_samples.prompt_id, seed_place, min(pixel_hash) AS pixel_hash
    FROM entry_samples
    JOIN samples USING (sample_id)
    WHERE study = $study
    GROUP BY entry, entry_samples.prompt_id, seed_place
)
SELECT
    entry,
    CASE
        WHEN count(pixel_hash) = count(*)
        THEN md5(string_agg(concat_ws(' ', prompt_id, seed_place, pixel_hash), ','
            ORDER BY prompt_id, seed_place))
    END AS pixels
FROM hashed
GROUP BY entry
ORDER BY entry;
