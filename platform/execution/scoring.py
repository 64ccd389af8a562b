"""The scorer stage: pictures read back from the store, scored, and the scores written."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

from bakeoff.evaluators.metric import Metric
from bakeoff.platform.execution.attempts import READ, WRITE, Attempts
from bakeoff.platform.execution.isolation import BatchLimit, failure_rows, isolate, or_stopped
from bakeoff.platform.execution.plan import Item, Shard
from bakeoff.platform.execution.profiling import Gauges
from bakeoff.platform.execution.provenance import gpu_driver
from bakeoff.platform.execution.sampling import Workplace, device_name
from bakeoff.platform.execution.watchdog import Watchdog
from bakeoff.platform.execution.workers import WorkerLog
from bakeoff.platform.store.pictures import decode_png
from bakeoff.platform.studies.benchmarks import BENCHMARKS
from bakeoff.platform.studies.metrics import build_metric

Pictures = Mapping[str, bytes]  # PNG by sample_id


@dataclass
class Tally:
    """What one shard's scoring came to."""

    images: int = 0
    failed: int = 0  # at any metric


class ScorerStage:
    """Scores the samples of a shard with every metric that they lack, one part a metric."""

    def __init__(self, workplace: Workplace) -> None:
        torch.set_num_threads(1)
        self.at = workplace
        self.metrics: dict[str, Metric] = {}
        self.gauges = Gauges(workplace.device)
        self.warm = False
        self.log = WorkerLog(
            workplace.store, workplace.run_id, "score", device_name(workplace.device)
        )
        self.watchdog = Watchdog(workplace.patience)
        self.limits = defaultdict[str, BatchLimit](  # by metric
            lambda: BatchLimit(workplace.batch_size)
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score what the row names and say how it went."""
        return or_stopped(self._logged, row)

    def _logged(self, row: dict[str, Any]) -> dict[str, Any]:
        done = self._work(row)
        self.log.end(failed=done["failed"] - row["failed"])
        return done

    def _work(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "references":
            self._write_references(row["work"], row["part"])
        if row["kind"] != "shard":
            return row
        shard = Shard.from_json(row["work"])
        if row["part"]:
            self.log.begin(shard.shard_id, len(shard.items))
        tally = self._score_shard(shard, row["part"]) if row["part"] else Tally()
        return row | {"failed": row["failed"] + tally.failed}

    def _score_shard(self, shard: Shard, part: str) -> Tally:
        self.gauges.reset()
        start = perf_counter()
        attempts = Attempts(
            self.log, self.watchdog, shard.shard_id, (shard.weights_hash, shard.recipe_id)
        )
        ids = [item.sample_id for item in shard.items]
        with attempts.attempt(READ, ids, whole=True):
            pictures = self._read(shard, part)
        items = [item for item in shard.items if item.sample_id in pictures]
        tally = Tally(images=len(items))
        failed: list[dict[str, Any]] = []
        for metric in shard.metrics:
            work = partial(self._rows, shard, metric.name, pictures, attempts)
            outcome = isolate(items, work, self.limits[metric.name])
            rows = [row for _, rows in outcome.done for row in rows]
            with attempts.attempt(WRITE, ids, whole=True):
                self.at.write("scores", shard.shard_id, rows)
            failed += failure_rows(
                shard, metric.name, outcome.failed, self.at.run_id, metric.version
            )
        tally.failed = len({row["sample_id"] for row in failed})
        profile = self._profile(shard, tally, perf_counter() - start)
        with attempts.attempt(WRITE, ids, whole=True):
            self.at.write("failures", f"{shard.shard_id}-scorer", failed)
            self.at.write("profiles", f"{shard.shard_id}-scorer", profile)
        attempts.end()
        self.warm = True
        return tally

    def _read(self, shard: Shard, part: str) -> Pictures:
        file = self.at.store.path / "samples" / part
        ids = [item.sample_id for item in shard.items]
        table = self.at.store.read_part(file, ["sample_id", "image"], ids)
        return {row["sample_id"]: row["image"]["bytes"] for row in table.to_pylist()}

    def _rows(
        self,
        shard: Shard,
        name: str,
        pictures: Pictures,
        attempts: Attempts,
        items: Sequence[Item],
    ) -> list[dict[str, Any]]:
        """Return score rows of one metric.

        Raises:
            OSError: a picture cannot be read.
            ValueError: a score is not a finite number.
            WorkerDied: the work has ended workers before.
        """
        with attempts.attempt(name, [item.sample_id for item in items]):
            metric = self._metric(name)
            scores = metric.score(
                # Here, where a picture that cannot be read is one failure and no more.
                np.stack([decode_png(pictures[item.sample_id]) for item in items]),
                [item.prompt for item in items],
                [item.expectation for item in items],
            )  # [B] or [B, D]
        if not np.isfinite(scores).all():
            raise ValueError(f"{name} gave a score that is not a finite number")
        return [
            {
                "sample_id": item.sample_id,
                "metric": name,
                "metric_version": metric.info.version,
                "value": float(score) if scores.ndim == 1 else None,
                "vector": score.astype(np.float32) if scores.ndim == 2 else None,
                "shard_id": shard.shard_id,
                "run_id": self.at.run_id,
            }
            for item, score in zip(items, scores, strict=True)
        ]

    def _write_references(self, benchmark: str, name: str) -> None:
        """Write a benchmark's real pictures as a set metric sees them."""
        make = BENCHMARKS[benchmark].pictures
        assert make is not None  # `check_metrics` has refused benchmarks without
        attempts = Attempts(self.log, self.watchdog, f"references-{benchmark}-{name}")
        with attempts.attempt(name, [benchmark]):
            pictures, metric = make(), self._metric(name)
            vectors = metric.score(pictures, [""] * len(pictures), [None] * len(pictures))
        shared = {
            "metric": name,
            "metric_version": metric.info.version,
            "benchmark": benchmark,
            "run_id": self.at.run_id,
        }
        rows = [shared | {"vector": vector.astype(np.float32)} for vector in vectors]
        with attempts.attempt(WRITE, [benchmark], whole=True):
            self.at.write("references", f"{benchmark}-{name}-{metric.info.version}", rows)
        attempts.end()

    def _metric(self, name: str) -> Metric:
        if name not in self.metrics:
            self.metrics[name] = build_metric(name, self.at.device)
        return self.metrics[name]

    def _profile(self, shard: Shard, tally: Tally, seconds: float) -> list[dict[str, Any]]:
        return [
            {
                "shard_id": shard.shard_id,
                "model": shard.model,
                "recipe_id": shard.recipe_id,
                "stage": "score",
                "seconds": seconds,
                "images": tally.images,
                "images_per_second": tally.images / seconds,
                "row_evaluations": 0,
                **self.gauges.columns(),
                "device": device_name(self.at.device),
                "driver": gpu_driver(),
                "dtype": "float32",  # metrics load their networks so
                "compiled": False,
                "batch_size": min(len(shard.items), self.at.batch_size or len(shard.items)),
                "warm": self.warm,
                "run_id": self.at.run_id,
            }
        ]
