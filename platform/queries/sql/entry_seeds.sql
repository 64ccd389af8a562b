-- The seeds of each entry with their places in its list, from 1. A table, for the planner to know its
-- size: guessing wrong, it pairs every prompt with every seed before it looks at a sample.
CREATE OR REPLACE TABLE entry_seeds AS
SELECT
    study,
    entry,
    unnest(seeds) AS seed,
    generate_subscripts(seeds, 1)::INTEGER AS seed_place
FROM entries;
