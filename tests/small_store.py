"""Writes small stores whose pictures are what their rows say, without a model, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.platform.execution.plan import sample_id
from bakeoff.platform.store.pictures import encode_png, pixel_hash
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.benchmarks import Prompt

ENTRY = {"model": "m", "weights_hash": "w", "recipe_id": "r", "benchmark": "prompts"}
METRIC = {"name": "composition", "version": "1"}


@dataclass(frozen=True)
class SmallStore:
    """Samples of one entry, a prompt each, in shards; every one has a score."""

    path: Path
    run_id: str = "run-1"
    side: int = 8  # pixels
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Store(self.path))
        self.store.create()

    def sample(self, number: int, *, bits: int = 0) -> dict[str, Any]:
        """Return the sample of a prompt; other `bits` are those of another device."""
        rng = np.random.default_rng([number, bits])
        pixels = rng.integers(0, 256, (self.side, self.side, 3), dtype=np.uint8)
        prompt = Prompt(f"p{number}", f"prompt {number}", "task")
        identity = sample_id(**ENTRY, prompt=prompt, seed=0)
        return {
            **ENTRY,
            "sample_id": identity,
            "recipe": "steps=4",
            "task": prompt.task,
            "prompt_id": prompt.prompt_id,
            "prompt": prompt.prompt,
            "seed": 0,
            "image": {"bytes": encode_png(pixels), "path": f"{identity}.png"},
            "tokens": [number] * 4,
            "pixel_hash": pixel_hash(pixels),
            "row_evaluations": 8,
            "run_id": self.run_id,
        }

    def shard(self, name: str, numbers: Sequence[int], *, bits: int = 0) -> None:
        """Write samples of these prompts with their scores as one part each."""
        samples = [{**self.sample(n, bits=bits), "shard_id": name} for n in numbers]
        self.store.write("samples", name, samples)
        head = {"metric": METRIC["name"], "metric_version": METRIC["version"], "shard_id": name}
        scores = [
            {
                **head,
                "sample_id": sample["sample_id"],
                "value": n / 10 + bits,
                "run_id": self.run_id,
            }
            for n, sample in zip(numbers, samples, strict=True)
        ]
        self.store.write("scores", name, scores)

    def vote(self, name: str, left: int, right: int, result: float | None = 1.0) -> None:
        """Note a vote on two samples as a part of its own."""
        sides = {"left": self.sample(left), "right": self.sample(right)}
        row: dict[str, Any] = {"vote_id": name, "result": result, "voter": ""}
        for side, sample in sides.items():
            row |= {f"{side}_{key}": sample[key] for key in ("sample_id", "model", "seed")}
        self.store.write("votes", name, [row])

    def run(self, prompts: int, *, started: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        """Note a run that planned the first so many prompts."""
        planned = [self.sample(number) for number in range(prompts)]
        row = {
            "run_id": self.run_id,
            "started": started,
            "study_name": "small",
            "study": "name: small",
            "entries": [{**ENTRY, "name": "m/r", "recipe": "steps=4", "seeds": [0]}],
            "metrics": [METRIC],
            "prompts": [{name: one[name] for name in ("prompt_id", "prompt")} for one in planned],
        }
        self.store.write("runs", self.run_id, [row])
