"""The sampler stage: shards in, pictures made and written, shards out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from time import perf_counter
from typing import Any, NamedTuple

import torch

from bakeoff.platform.execution.attempts import WRITE, Attempts
from bakeoff.platform.execution.isolation import (
    BatchLimit,
    Failure,
    Outcome,
    failure_rows,
    isolate,
    or_stopped,
)
from bakeoff.platform.execution.plan import GENERATE, TRACE, Item, Shard
from bakeoff.platform.execution.profiling import Gauges, release_memory
from bakeoff.platform.execution.provenance import gpu_driver
from bakeoff.platform.execution.traces import trace_rows
from bakeoff.platform.execution.watchdog import PATIENCE, Patience, Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.pictures import encode_png, pixel_hash
from bakeoff.platform.store.places import Place
from bakeoff.platform.store.store import Store
from bakeoff.samplers.catalog import import_samplers, load_sampler
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, Sampler, check_generation
from bakeoff.samplers.trace import StepRecord


@dataclass(frozen=True)
class Workplace:
    """What every worker of a run is told."""

    store: Store
    run_id: str
    device: str
    patience: Patience = PATIENCE
    batch_size: int | None = None  # of a call; None: as many as a shard has

    def write(self, table: str, part_id: str, rows: Sequence[dict[str, Any]]) -> Place | None:
        """Write a part of the store, as `Store.write`; storage that fails for a moment is no harm.

        Raises:
            InputError: a later run has claimed the store.
            OSError: it cannot be written, whatever the pause.
        """
        return persistently(lambda: self.store.write(table, part_id, rows))


class Made(NamedTuple):
    """A batch as it came from the sampler, and its steps where they were asked for."""

    generation: Generation
    records: Sequence[StepRecord]


class SamplerStage:
    """Makes the samples of a shard with a model that is loaded once, and commits them as one part.

    One model at a time: shards come model by model, and a second one would spoil the first one's
    memory figure and might not fit a GPU.
    """

    def __init__(self, workplace: Workplace) -> None:
        # One thread a worker: sums would be split, and bits differ, by the number of threads.
        torch.set_num_threads(1)
        self.at = workplace
        self.loaded: tuple[str, str, bool] | None = None  # location, dtype, compiled
        self.sampler: Sampler | None = None
        import_samplers()  # libraries are no model's memory
        self.gauges = Gauges(workplace.device)
        self.warm = False
        self.log = WorkerLog(
            workplace.store, workplace.run_id, "sample", device_name(workplace.device)
        )
        self.watchdog = Watchdog(workplace.patience)
        self.limits = defaultdict[str, BatchLimit](  # by model
            lambda: BatchLimit(workplace.batch_size)
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make what the row's shard asks for, and name the part that it lies in."""
        return or_stopped(self._logged, row)

    def _logged(self, row: dict[str, Any]) -> dict[str, Any]:
        done = self._work(row)
        self.log.end(failed=done["failed"] - row["failed"])
        return done

    def _work(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] != "shard":
            return row
        shard = Shard.from_json(row["work"])
        if not shard.needs_model:
            return row
        self.log.begin(shard.shard_id, len(shard.items))
        kind = (shard.weights_hash, shard.recipe_id, shard.traces)
        attempts = Attempts(self.log, self.watchdog, shard.shard_id, kind)
        try:
            sampler = self._sampler(shard, attempts)
        except Exception as error:
            keep = partial(self._refuse, shard, error)
        else:
            keep = partial(self._keep, shard, self._make(shard, sampler, attempts))
        # Only what is written is done: who dies at that is to be found at it.
        with attempts.attempt(WRITE, [item.sample_id for item in shard.items], whole=True):
            done = keep()
        attempts.end()
        return row | done

    def _refuse(self, shard: Shard, error: Exception) -> dict[str, Any]:
        """Write that a shard's model cannot be loaded; return how many failed by that."""
        failures = [Failure(item, error, 1) for item in shard.items]
        rows = failure_rows(shard, "load", failures, self.at.run_id)
        self.at.write("failures", f"{shard.shard_id}-sampler", rows)
        return {"failed": len(failures)}

    def _make(self, shard: Shard, sampler: Sampler, attempts: Attempts) -> Outcome[Made]:
        generate = _generate if shard.part is None else self._generate_again

        def work(items: Sequence[Item]) -> Made:
            with attempts.attempt(_stage(shard), [item.sample_id for item in items]):
                return generate(sampler, shard, items)

        self.gauges.reset()
        return isolate(shard.items, work, self.limits[shard.weights_hash])

    def _keep(self, shard: Shard, outcome: Outcome[Made]) -> dict[str, Any]:
        """Write what came of a shard; return how many were made, how many failed, and the part."""
        taken = self.gauges.columns()
        start = perf_counter()
        rows = [row for items, made in outcome.done for row in self._rows(shard, items, made)]
        traces = [row for items, made in outcome.done for row in self._traces(shard, items, made)]
        encoded = perf_counter()
        # before the samples: those say that the shard is done
        self.at.write("traces", shard.shard_id, traces)
        part = self.at.write("samples", shard.shard_id, rows)
        written = perf_counter()
        failed = failure_rows(shard, _stage(shard), outcome.failed, self.at.run_id)
        self.at.write("failures", f"{shard.shard_id}-sampler", failed)
        seconds = {"encode": encoded - start, "write": written - encoded}
        profile = self._profile(shard, outcome, seconds, taken)
        self.at.write("profiles", f"{shard.shard_id}-sampler", profile)
        self.warm = True
        name = part.name if part else shard.part
        return {
            "part": name or "",
            "made": len(rows),
            "failed": len(failed),
            "size_bytes": sum(made.generation.images.nbytes for _, made in outcome.done),
        }

    def _generate_again(self, sampler: Sampler, shard: Shard, items: Sequence[Item]) -> Made:
        """Make stored samples once more for their traces.

        Raises:
            ValueError: a picture has other tokens now, so that its trace would be another's.
        """
        file = self.at.store.path / "samples" / str(shard.part)
        ids = [item.sample_id for item in items]
        table = self.at.store.read_part(file, ["sample_id", "tokens"], ids)
        stored = {row["sample_id"]: row["tokens"] for row in table.to_pylist()}
        made = _generate(sampler, shard, items)
        for item, tokens in zip(items, made.generation.tokens, strict=True):
            if tokens.reshape(-1).tolist() != stored[item.sample_id]:
                raise ValueError(
                    "made again, the picture has other tokens than the stored one, so the trace "
                    "would not be its own: another device or version made it"
                )
        return made

    def _sampler(self, shard: Shard, attempts: Attempts) -> Sampler:
        wanted = (shard.location, shard.dtype, shard.compiled)
        if self.sampler is None or self.loaded != wanted:
            self.sampler = None  # frees the last model before the next one comes
            release_memory()
            self.warm = False
            ids = [item.sample_id for item in shard.items]
            with attempts.attempt("load", ids, whole=True), self.gauges.loading():
                self.sampler = load_sampler(
                    shard.location,
                    device=self.at.device,
                    dtype=shard.dtype,
                    compiled=shard.compiled,
                )
            self.loaded = wanted
        if self.sampler.weights_hash != shard.weights_hash:
            raise InputError(
                f"the weights of {shard.model} on this worker ({self.sampler.weights_hash[:12]}) "
                f"are not those of the plan ({shard.weights_hash[:12]})"
            )
        return self.sampler

    def _rows(self, shard: Shard, items: Sequence[Item], made: Made) -> list[dict[str, Any]]:
        """Return rows of `samples`; those that are stored stay as they are."""
        if shard.part is not None:
            return []
        one = made.generation
        is_plain = shard.dtype == "float32" and not shard.compiled
        shared = {
            "model": shard.model,
            "weights_hash": shard.weights_hash,
            "recipe": shard.recipe,
            "recipe_id": shard.recipe_id,
            "benchmark": shard.benchmark,
            # other kernels may round differently in batches of another shape
            "exactness": "exact" if self.at.device == "cpu" and is_plain else "stream",
            "device": device_name(self.at.device),
            "dtype": shard.dtype,
            "compiled": shard.compiled,
            "bakeoff_version": version("bakeoff"),
            "torch_version": torch.__version__,
            "shard_id": shard.shard_id,
            "run_id": self.at.run_id,
        }
        return [
            shared
            | {
                "sample_id": item.sample_id,
                "task": item.task,
                "prompt_id": item.prompt_id,
                "prompt": item.prompt,
                "seed": item.seed,
                "noise_seed": item.noise_seed,
                "image": {"bytes": encode_png(pixels), "path": f"{item.sample_id}.png"},
                "tokens": tokens.reshape(-1),
                "pixel_hash": pixel_hash(pixels),
                "row_evaluations": int(row_evaluations),
                "network_calls": int(network_calls),
            }
            for item, pixels, tokens, row_evaluations, network_calls in zip(
                items, one.images, one.tokens, one.row_evaluations, one.network_calls, strict=True
            )
        ]

    def _traces(self, shard: Shard, items: Sequence[Item], made: Made) -> list[dict[str, Any]]:
        """Return rows of `traces`; none where no trace was asked for."""
        shared = {"shard_id": shard.shard_id, "run_id": self.at.run_id}
        ids = [item.sample_id for item in items]
        return [row | shared for row in trace_rows(made.records, ids)]

    def _profile(
        self,
        shard: Shard,
        outcome: Outcome[Made],
        seconds: dict[str, float],
        taken: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Return one row per stage; nothing made is nothing measured."""
        images = sum(len(items) for items, _ in outcome.done)
        if not images:
            return []
        evaluations = 0
        for _, made in outcome.done:
            evaluations += int(made.generation.row_evaluations.sum())
            for stage, spent in made.generation.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
        return [
            {
                "shard_id": shard.shard_id,
                "model": shard.model,
                "recipe_id": shard.recipe_id,
                "stage": stage,
                "seconds": spent,
                "images": images,
                "images_per_second": images / spent if spent else None,
                "row_evaluations": evaluations if stage == "network" else 0,
                **(taken if stage not in ("encode", "write") else {}),
                "energy_joules": taken["energy_joules"] if stage == "network" else None,
                "device": device_name(self.at.device),
                "driver": gpu_driver(),
                "dtype": shard.dtype,
                "compiled": shard.compiled,
                "batch_size": max(len(items) for items, _ in outcome.done),
                "warm": self.warm,
                "traced": shard.traces,
                "run_id": self.at.run_id,
            }
            for stage, spent in seconds.items()
        ]


def _generate(sampler: Sampler, shard: Shard, items: Sequence[Item]) -> Made:
    prompts, seeds = [item.prompt for item in items], [item.noise_seed for item in items]
    records: list[StepRecord] = []
    callback = records.append if shard.traces else None
    generation = sampler.generate(prompts, seeds, Recipe.from_text(shard.recipe), callback)
    check_generation(generation, len(items))
    return Made(generation, records)


def _stage(shard: Shard) -> str:
    return GENERATE if shard.part is None else TRACE


def device_name(device: str) -> str:
    """Return the name of a device as it stands in tables: the GPU's own, or cpu."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else device
