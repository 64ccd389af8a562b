"""Replay: one stored sample made again here, and where it comes out differently."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch

from bakeoff.platform.execution.sampling import device_name
from bakeoff.platform.execution.traces import trace_rows
from bakeoff.platform.store.pictures import pixel_hash, readable_picture
from bakeoff.platform.store.store import Store
from bakeoff.samplers.catalog import MODELS, check_dtype, load_sampler, weights_hash
from bakeoff.samplers.errors import InputError, cut, shown
from bakeoff.samplers.fetching import is_here
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.trace import StepRecord

NEEDED = ("model", "weights_hash", "recipe", "prompt", "noise_seed", "tokens", "pixel_hash")
TOLD = ("device", "dtype", "torch_version", "image")
Row = dict[str, Any]


class Step(NamedTuple):
    """A place of a trace."""

    step: int
    phase: str


class Replay(NamedTuple):
    """What came of making a sample again.

    `first_token` is the first that differs, None if none does; `step` the first after which tokens
    differed, None without a stored trace; `largest_difference` of a channel, from 0 to 255, None
    where the stored picture has another size or cannot be read.
    """

    stored_on: str
    made_on: str
    same_pixels: bool
    tokens: int
    differing_tokens: int
    first_token: int | None
    step: Step | None
    largest_difference: int | None


def replay(store: Store, sample_id: str, model: str | None = None) -> Replay:
    """Make a stored sample again on this machine and compare tokens and pixels.

    `model` is a catalogue name or a checkpoint folder; without it the catalogue's model of the
    sample's weights is taken.

    Raises:
        InputError: the sample is not stored or says too little, or its model is not here.
    """
    row = _stored(store, sample_id)
    recipe = Recipe.from_text(row["recipe"])
    dtype = row["dtype"] or "float32"
    check_dtype(dtype)
    location, compiled = _location(row, sample_id, model, dtype)
    torch.set_num_threads(1)  # as in a worker: bits depend on it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trace = _stored_trace(store, sample_id)
    records: list[StepRecord] = []
    sampler = load_sampler(location, device=device, dtype=dtype, compiled=compiled)
    callback = records.append if trace else None
    made = sampler.generate([row["prompt"]], [row["noise_seed"]], recipe, callback)
    tokens, pixels = made.tokens[0].reshape(-1), made.images[0]
    differs = _differing(tokens, row["tokens"])
    return Replay(
        stored_on=f"{row['device']}, {row['dtype']}, torch {row['torch_version']}",
        made_on=f"{device_name(device)}, torch {torch.__version__}",
        same_pixels=pixel_hash(pixels) == row["pixel_hash"],
        tokens=len(differs),
        differing_tokens=int(differs.sum()),
        first_token=int(differs.argmax()) if differs.any() else None,
        step=_first_other_step(trace, trace_rows(records, [sample_id])),
        largest_difference=_largest_difference(pixels, row["image"]),
    )


def _stored(store: Store, sample_id: str) -> Row:
    part = store.sample_parts().get(sample_id)
    if part is None:
        raise InputError(f"sample_id {cut(sample_id)!r} is not in store {store.path}")
    (row, *_) = store.read_part(part, [*NEEDED, *TOLD], [sample_id]).to_pylist()
    for name in NEEDED:
        if row[name] is None:
            raise InputError(f"sample {sample_id} cannot be made again: its {name} is not stored")
    return row


def _location(row: Row, sample_id: str, model: str | None, dtype: str) -> tuple[str, bool]:
    """Return what the sampler is loaded by, and whether compiled, once its hash is the sample's."""
    wanted = row["weights_hash"]
    made_by = f"sample {sample_id} was made by {cut(row['model'])!r} with weights {wanted[:12]}"
    here = [name for name, entry in MODELS.working().items() if is_here(entry)]
    for name in here if model is None else [model]:
        with suppress(InputError):  # it does not run in this dtype
            for compiled in (False, True):
                if weights_hash(name, dtype, compiled=compiled) == wanted:
                    return name, compiled
    if model is None:
        raise InputError(f"{made_by}, which no model of the catalogue has: give --model FOLDER")
    found = weights_hash(model, dtype)
    raise InputError(f"{made_by}, but those of --model {shown(model)} are {found[:12]}")


def _stored_trace(store: Store, sample_id: str) -> list[Row]:
    """Return a stored trace, place by place; one that was made twice counts once."""
    columns = ["shard_id", "run_id", "place", "step", "phase", "tokens"]
    parts = store.parts("traces")
    rows = [
        row for part in parts for row in store.read_part(part, columns, [sample_id]).to_pylist()
    ]
    if not rows:
        return []
    first = min((row["shard_id"], row["run_id"]) for row in rows)
    own = [row for row in rows if (row["shard_id"], row["run_id"]) == first]
    return sorted(own, key=lambda row: row["place"])


def _first_other_step(stored: Sequence[Row], made: Sequence[Row]) -> Step | None:
    """Return the first place after which tokens differ, as far as both traces go."""
    for one, other in zip(stored, made, strict=False):
        if _differing(other["tokens"], one["tokens"]).any():
            return Step(one["step"], one["phase"])
    return None


def _differing(made: Sequence[int], stored: Sequence[int]) -> np.ndarray:
    """Return where tokens differ, bool [K]; those that only one side has do."""
    size = max(len(made), len(stored))
    one, other = np.full(size, -2), np.full(size, -3)  # no tokens, and never equal
    one[: len(made)], other[: len(stored)] = made, stored
    return one != other


def _largest_difference(pixels: np.ndarray, image: Row | None) -> int | None:
    picture = readable_picture((image or {}).get("bytes"))
    if picture is None:
        return None
    stored = np.asarray(picture).astype(np.int16)
    if stored.shape != pixels.shape:
        return None
    return int(np.abs(stored - pixels).max())
