"""The sampler stage: shards in, pictures made and written, shards out."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Any

import torch

from bakeoff.platform.isolation import Failure, Outcome, failure_rows, isolate, or_stopped
from bakeoff.platform.pictures import encode_png, pixel_hash
from bakeoff.platform.plan import Item, Shard
from bakeoff.platform.profiling import MemoryGauge, release_memory
from bakeoff.platform.store import Store
from bakeoff.samplers.catalog import import_samplers, load_sampler
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, Sampler

DTYPE = "float32"  # samplers load every model so


@dataclass(frozen=True)
class Workplace:
    """What every worker of a run is told."""

    store: Store
    run_id: str
    device: str


class SamplerStage:
    """Makes the samples of a shard with a model that is loaded once, and commits them as one part.

    One model at a time: shards come model by model, and a second one would spoil the first one's
    memory figure and might not fit a GPU.
    """

    def __init__(self, workplace: Workplace) -> None:
        # One thread a worker: sums would be split, and bits differ, by the number of threads.
        torch.set_num_threads(1)
        self.at = workplace
        self.location: str | None = None
        self.sampler: Sampler | None = None
        import_samplers()  # libraries are no model's memory
        self.gauge = MemoryGauge(workplace.device)
        self.warm = False

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make what the row's shard asks for, and name the part that it lies in."""
        return or_stopped(self._work, row)

    def _work(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] != "shard":
            return row
        shard = Shard.from_json(row["work"])
        if shard.part is not None:
            return row
        return row | self._make(shard)

    def _make(self, shard: Shard) -> dict[str, Any]:
        try:
            sampler = self._sampler(shard)
        except Exception as error:
            failures = [Failure(item, error, 1) for item in shard.items]
            rows = failure_rows(shard, "load", failures, self.at.run_id)
            self.at.store.write("failures", f"{shard.shard_id}-sampler", rows)
            return {"part": "", "made": 0, "failed": len(failures)}
        self.gauge.reset()
        outcome = isolate(shard.items, lambda items: _generate(sampler, shard, items))
        peak_bytes = self.gauge.peak_bytes()
        start = perf_counter()
        rows = [row for items, made in outcome.done for row in self._rows(shard, items, made)]
        encoded = perf_counter()
        part = self.at.store.write("samples", shard.shard_id, rows)
        written = perf_counter()
        failed = failure_rows(shard, "generate", outcome.failed, self.at.run_id)
        self.at.store.write("failures", f"{shard.shard_id}-sampler", failed)
        seconds = {"encode": encoded - start, "write": written - encoded}
        profile = self._profile(shard, outcome, seconds, peak_bytes)
        self.at.store.write("profiles", f"{shard.shard_id}-sampler", profile)
        self.warm = True
        return {"part": part.name if part else "", "made": len(rows), "failed": len(failed)}

    def _sampler(self, shard: Shard) -> Sampler:
        if self.sampler is None or self.location != shard.location:
            self.sampler = None  # frees the last model before the next one comes
            release_memory()
            self.warm = False
            self.sampler = load_sampler(shard.location, device=self.at.device)
            self.location = shard.location
        if self.sampler.weights_hash != shard.weights_hash:
            raise InputError(
                f"the weights of {shard.model} on this worker ({self.sampler.weights_hash[:12]}) "
                f"are not those of the plan ({shard.weights_hash[:12]})"
            )
        return self.sampler

    def _rows(self, shard: Shard, items: Sequence[Item], made: Generation) -> list[dict[str, Any]]:
        shared = {
            "model": shard.model,
            "weights_hash": shard.weights_hash,
            "recipe": shard.recipe,
            "recipe_id": shard.recipe_id,
            "benchmark": shard.benchmark,
            "row_evaluations": made.row_evaluations,
            "network_calls": made.network_calls,
            # GPU kernels may round differently in batches of another shape
            "exactness": "exact" if self.at.device == "cpu" else "stream",
            "device": device_name(self.at.device),
            "dtype": DTYPE,
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
            }
            for item, pixels, tokens in zip(items, made.images, made.tokens, strict=True)
        ]

    def _profile(
        self,
        shard: Shard,
        outcome: Outcome[Generation],
        seconds: dict[str, float],
        peak_bytes: int,
    ) -> list[dict[str, Any]]:
        """Return one row per stage; nothing made is nothing measured."""
        images = sum(len(items) for items, _ in outcome.done)
        if not images:
            return []
        for _, made in outcome.done:
            for stage, spent in made.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
        evaluations = sum(made.row_evaluations * len(items) for items, made in outcome.done)
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
                "peak_memory_bytes": None if stage in ("encode", "write") else peak_bytes,
                "memory_kind": self.gauge.kind,
                "device": device_name(self.at.device),
                "dtype": DTYPE,
                "batch_size": max(len(items) for items, _ in outcome.done),
                "warm": self.warm,
                "run_id": self.at.run_id,
            }
            for stage, spent in seconds.items()
        ]


def _generate(sampler: Sampler, shard: Shard, items: Sequence[Item]) -> Generation:
    prompts, seeds = [item.prompt for item in items], [item.noise_seed for item in items]
    return sampler.generate(prompts, seeds, Recipe.from_text(shard.recipe))


def device_name(device: str) -> str:
    """Return the name of a device as it stands in tables: the GPU's own, or cpu."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else device
