"""The store's wire format: one Arrow schema per table, and the format version.

Read by the DuckDB views, the leaderboard, the dashboard, Hugging Face `datasets` (the image column)
and whoever opens a store with their own tools. A change of any schema raises `FORMAT_VERSION`.
"""

import pyarrow as pa

FORMAT_VERSION = 5

# Hugging Face's Image convention: `datasets` shows these as pictures.
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("model", pa.string()),
        ("weights_hash", pa.string()),  # of files, dtype and compilation: `hash_model`
        ("recipe", pa.string()),  # one-line text
        ("recipe_id", pa.string()),
        ("benchmark", pa.string()),
        ("task", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),  # as the study names it
        ("noise_seed", pa.int64()),  # what the sampler is given: a hash of seed and prompt
        ("image", IMAGE),
        ("tokens", pa.list_(pa.int32())),  # row by row
        ("pixel_hash", pa.string()),  # SHA-256 of the raw pixels, RGB row by row
        ("row_evaluations", pa.int64()),  # network passes for this image, each batch row counted
        ("network_calls", pa.int64()),
        (
            "exactness",
            pa.string(),
        ),  # exact: the same bits in any batch; stream: same random numbers
        ("device", pa.string()),
        ("dtype", pa.string()),
        ("compiled", pa.bool_()),
        ("bakeoff_version", pa.string()),
        ("torch_version", pa.string()),
        ("shard_id", pa.string()),
        ("run_id", pa.string()),
    ]
)

SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("metric", pa.string()),
        ("metric_version", pa.string()),
        ("value", pa.float64()),  # null for set metrics
        ("vector", pa.list_(pa.float32())),  # a set metric's features; null for the others
        ("shard_id", pa.string()),
        ("run_id", pa.string()),
    ]
)

# How samples came about, on request: one row for each change of a sample's tokens.
TRACES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("place", pa.int32()),  # from 0, in order: Z-sampling takes a step's forward phase twice
        ("step", pa.int32()),  # of an autoregressive model: the position
        ("phase", pa.string()),  # forward or backtrack
        ("mask_ratio", pa.float64()),  # share of tokens that are unknown after it
        ("entropy", pa.float64()),  # nats, mean over the drawn tokens; null where nothing is drawn
        ("divergence", pa.float64()),  # nats, mean KL from the step before; null where undefined
        ("redrawn", pa.float64()),  # share of the drawn tokens that differential sampling redrew
        ("tokens", pa.list_(pa.int32())),  # row by row; unknown: the model's mask id, or -1
        ("shard_id", pa.string()),
        ("run_id", pa.string()),
    ]
)

# What the benchmark's own pictures look like to a set metric: the set that models are compared to.
REFERENCES = pa.schema(
    [
        ("metric", pa.string()),
        ("metric_version", pa.string()),
        ("benchmark", pa.string()),
        ("vector", pa.list_(pa.float32())),
        ("run_id", pa.string()),
    ]
)

PROFILES = pa.schema(
    [
        ("shard_id", pa.string()),
        ("model", pa.string()),
        ("recipe_id", pa.string()),
        ("stage", pa.string()),  # text, network, draw, decode, encode, write, score
        ("seconds", pa.float64()),  # wall time for the whole shard; on a GPU by CUDA events
        ("images", pa.int64()),
        ("images_per_second", pa.float64()),
        ("row_evaluations", pa.int64()),  # of the shard, all images; 0 where no network runs
        ("peak_memory_bytes", pa.int64()),  # stages of the sampler share that of the whole call
        ("memory_kind", pa.string()),  # rss_above_baseline or cuda_reserved
        ("peak_allocated_bytes", pa.int64()),  # what tensors took of the reserved; null on a CPU
        ("energy_joules", pa.float64()),  # of the GPU; the sampler's call has it on `network`
        ("device", pa.string()),
        ("driver", pa.string()),  # version of the GPU's; null on a machine without
        ("dtype", pa.string()),
        ("compiled", pa.bool_()),
        ("batch_size", pa.int64()),
        ("warm", pa.bool_()),  # false for a worker's first batch with a model
        ("traced", pa.bool_()),  # whether steps were looked at meanwhile, which takes time
        ("run_id", pa.string()),
    ]
)

FAILURES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("model", pa.string()),
        ("recipe_id", pa.string()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("shard_id", pa.string()),
        ("stage", pa.string()),  # load, generate, trace, or the metric's name
        ("metric_version", pa.string()),  # null for stages that are no metric
        ("error_type", pa.string()),
        ("message", pa.string()),
        ("attempt", pa.int64()),
        ("run_id", pa.string()),
    ]
)

# What each worker is at: one part a worker, written anew at the beginning and end of every shard.
WORKERS = pa.schema(
    [
        ("run_id", pa.string()),
        ("worker", pa.string()),  # host:process
        ("stage", pa.string()),  # sample or score
        ("device", pa.string()),
        ("started", pa.timestamp("us", tz="UTC")),
        ("seen", pa.timestamp("us", tz="UTC")),  # when this was written
        ("shard_id", pa.string()),  # at work; null between shards
        ("at_work", pa.int64()),  # images of that shard
        ("images", pa.int64()),  # finished
        ("failed", pa.int64()),
        ("busy_seconds", pa.float64()),
        ("longest_seconds", pa.float64()),  # of a shard
        ("ended", pa.string()),  # how, at that shard: died, or hung; null of a worker that is well
    ]
)

# What people said in the arena: one row a vote, about two pictures as they were shown.
VOTES = pa.schema(
    [
        ("vote_id", pa.string()),
        ("voted", pa.timestamp("us", tz="UTC")),
        ("study", pa.string()),  # that was looked at; the vote counts for all with both pictures
        ("benchmark", pa.string()),
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("seed_place", pa.int32()),  # from 1, in each entry's list of seeds
        ("left_sample_id", pa.string()),
        ("left_model", pa.string()),
        ("left_weights_hash", pa.string()),
        ("left_recipe_id", pa.string()),
        ("left_seed", pa.int64()),
        ("right_sample_id", pa.string()),
        ("right_model", pa.string()),
        ("right_weights_hash", pa.string()),
        ("right_recipe_id", pa.string()),
        ("right_seed", pa.int64()),
        ("result", pa.float64()),  # 1: the left one is better; 0: the right one; 0.5: neither
        ("voter", pa.string()),  # as they call themselves; empty if they do not
    ]
)

ENTRY = pa.struct(
    [
        ("name", pa.string()),
        ("model", pa.string()),
        ("weights_hash", pa.string()),
        ("dtype", pa.string()),
        ("compiled", pa.bool_()),
        ("recipe", pa.string()),
        ("recipe_id", pa.string()),
        ("seeds", pa.list_(pa.int64())),
        ("benchmark", pa.string()),
        ("baseline", pa.bool_()),
        ("prompts", pa.int64()),  # that it was asked for, the first so many; null: all
    ]
)

RUNS = pa.schema(
    [
        ("run_id", pa.string()),
        ("started", pa.timestamp("us", tz="UTC")),
        ("study_name", pa.string()),
        ("study", pa.string()),  # the YAML text
        ("entries", pa.list_(ENTRY)),
        ("metrics", pa.list_(pa.struct([("name", pa.string()), ("version", pa.string())]))),
        ("prompts", pa.list_(pa.struct([("prompt_id", pa.string()), ("prompt", pa.string())]))),
        ("until_decided", pa.float64()),  # the level of error at which entries stopped; null: not
        ("equivalent", pa.float64()),  # the margin of win rates within which they did, if any
        ("batch_size", pa.int64()),
        ("workers", pa.int64()),
        ("device", pa.string()),
        ("versions", pa.map_(pa.string(), pa.string())),
        ("git_revision", pa.string()),  # null outside a git checkout
        ("files", pa.map_(pa.string(), pa.string())),  # sha256 of MODEL/FILE: weights, encoders …
    ]
)

TABLES: dict[str, pa.Schema] = {
    "samples": SAMPLES,
    "scores": SCORES,
    "traces": TRACES,
    "references": REFERENCES,
    "profiles": PROFILES,
    "failures": FAILURES,
    "workers": WORKERS,
    "votes": VOTES,
    "runs": RUNS,
}
