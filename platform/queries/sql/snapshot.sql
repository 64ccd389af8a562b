-- What queries share of a store, and what strangers may ask of it besides, as tables of the file that
-- is attached as `snapshot`: figures and names, no pictures, tokens or vectors.
CREATE TABLE snapshot.newest_runs AS FROM newest_runs;
CREATE TABLE snapshot.entries AS FROM entries;
CREATE TABLE snapshot.entry_seeds AS FROM entry_seeds;
CREATE TABLE snapshot.study_metrics AS FROM study_metrics;
CREATE TABLE snapshot.asked_prompts AS FROM asked_prompts;
CREATE TABLE snapshot.entry_samples AS FROM entry_samples;
CREATE TABLE snapshot.shard_parts AS FROM shard_parts;
CREATE TABLE snapshot.entry_batches AS FROM entry_batches;
CREATE TABLE snapshot.entry_scores AS FROM entry_scores;
CREATE TABLE snapshot.traces AS
SELECT sample_id, place, step, phase, mask_ratio, entropy, divergence, redrawn
FROM sample_traces;
CREATE TABLE snapshot.profiles AS FROM profiles;
CREATE TABLE snapshot.failures AS FROM failures;
-- Times without a zone, which is UTC: Python shows those with one only if it has a library for it.
CREATE TABLE snapshot.votes AS
SELECT * REPLACE (make_timestamp(epoch_us(voted)) AS voted)
FROM votes;
CREATE TABLE snapshot.runs AS
SELECT
    run_id,
    make_timestamp(epoch_us(started)) AS started,
    study_name,
    batch_size,
    workers,
    device,
    git_revision,
    versions,
    study
FROM runs;
