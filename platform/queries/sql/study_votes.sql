-- The votes on each study's entries, as it names them now: a vote counts for every study that holds
-- both pictures. `result` is 1 where the entry won, 0 where its opponent did, 0.5 where neither.
CREATE OR REPLACE VIEW study_votes AS
WITH pictured AS (
    SELECT study, entry, model, weights_hash, recipe_id, benchmark, seed, seed_place
    FROM entries
    JOIN entry_seeds USING (study, entry)
)
SELECT
    votes.vote_id,
    votes.voted,
    votes.voter,
    mine.study,
    mine.entry,
    theirs.entry AS opponent,
    asked_prompts.prompt_id,
    mine.seed_place,
    votes.result
FROM votes
JOIN pictured AS mine ON mine.benchmark = votes.benchmark
    AND mine.model = votes.left_model
    AND mine.weights_hash = votes.left_weights_hash
    AND mine.recipe_id = votes.left_recipe_id
    AND mine.seed = votes.left_seed
JOIN pictured AS theirs ON theirs.study = mine.study
    AND theirs.benchmark = mine.benchmark
    AND theirs.seed_place = mine.seed_place
    AND theirs.entry <> mine.entry
    AND theirs.model = votes.right_model
    AND theirs.weights_hash = votes.right_weights_hash
    AND theirs.recipe_id = votes.right_recipe_id
    AND theirs.seed = votes.right_seed
JOIN asked_prompts ON asked_prompts.study = mine.study
    AND asked_prompts.prompt_id = votes.prompt_id
    AND asked_prompts.prompt = votes.prompt
WHERE votes.result IN (0, 0.5, 1);
