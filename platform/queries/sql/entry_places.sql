-- The entries of a study in its order, and the first so many prompts that each was asked for, of a
-- run until decided.
SELECT entry, place, asked
FROM entries
WHERE study = $study
ORDER BY place;
