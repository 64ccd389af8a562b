"""What each worker of a run is at, or what ended it, told through the store to any machine."""

import os
import socket
from datetime import UTC, datetime
from hashlib import sha256
from time import perf_counter
from typing import Any, Literal

from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store

WorkStage = Literal["sample", "score"]


class WorkerLog:
    """One row of `workers`, written anew when a shard begins and when it ends."""

    def __init__(self, store: Store, run_id: str, stage: WorkStage, device: str) -> None:
        self.store, self.run_id, self.stage = store, run_id, stage
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._head = {
            "run_id": run_id,
            "worker": self.worker,
            "stage": stage,
            "device": device,
            "started": datetime.now(UTC),
        }
        self._images = self._failed = self._at_work = 0
        self._busy = self._longest = self._since = 0.0
        self._shard_id: str | None = None

    def begin(self, shard_id: str, images: int) -> None:
        """Tell that work on a shard of so many images begins.

        Raises:
            InputError: a later run has claimed the store.
        """
        self._shard_id, self._at_work, self._since = shard_id, images, perf_counter()
        self._write()

    def end(self, failed: int) -> None:
        """Tell that the shard is done, with so many images failed; without a shard, nothing.

        Raises:
            InputError: a later run has claimed the store.
        """
        if not self._at_work:
            return
        seconds = perf_counter() - self._since
        self._busy, self._longest = self._busy + seconds, max(self._longest, seconds)
        self._images += self._at_work - failed
        self._failed += failed
        self._shard_id, self._at_work = None, 0
        self._write()

    def hang(self, seconds: float) -> None:
        """Tell that the watchdog ends this worker, which has been at one thing for so long."""
        self._write(ended=f"hung for {seconds:.0f} seconds")

    def bury(self, worker: str) -> None:
        """Tell of another worker of this stage that it died, unless it told what ended it."""
        part = self.store.path / "workers" / f"part-{self._part(worker)}.parquet"
        if not part.exists():
            return
        for row in self.store.read_part(part, TABLES["workers"].names).to_pylist():
            if row["ended"] is None:
                self._commit(row | {"ended": "died"})

    def _write(self, ended: str | None = None) -> None:
        counted = {
            "seen": datetime.now(UTC),
            "shard_id": self._shard_id,
            "at_work": self._at_work,
            "images": self._images,
            "failed": self._failed,
            "busy_seconds": self._busy,
            "longest_seconds": self._longest,
            "ended": ended,
        }
        self._commit(self._head | counted)

    def _commit(self, row: dict[str, Any]) -> None:
        part = self._part(row["worker"])
        persistently(lambda: self.store.write("workers", part, [row]))

    def _part(self, worker: str) -> str:
        return sha256(repr((self.run_id, worker, self.stage)).encode()).hexdigest()[:24]
