"""What each worker of a run is at, told through the store, so that any machine can ask."""

import os
import socket
from datetime import UTC, datetime
from hashlib import sha256
from time import perf_counter
from typing import Literal

from bakeoff.platform.persistence import persistently
from bakeoff.platform.store import Store

WorkStage = Literal["sample", "score"]


class WorkerLog:
    """One row of `workers`, written anew when a shard begins and when it ends."""

    def __init__(self, store: Store, run_id: str, stage: WorkStage, device: str) -> None:
        self._store = store
        self._head = {
            "run_id": run_id,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "stage": stage,
            "device": device,
            "started": datetime.now(UTC),
        }
        self._part = sha256(repr((run_id, self._head["worker"], stage)).encode()).hexdigest()[:24]
        self._images = self._failed = self._at_work = 0
        self._busy = self._longest = self._since = 0.0

    def begin(self, shard_id: str, images: int) -> None:
        """Tell that work on a shard of so many images begins.

        Raises:
            InputError: a later run has claimed the store.
        """
        self._at_work, self._since = images, perf_counter()
        self._write(shard_id)

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
        self._at_work = 0
        self._write(None)

    def _write(self, shard_id: str | None) -> None:
        row = self._head | {
            "seen": datetime.now(UTC),
            "shard_id": shard_id,
            "at_work": self._at_work,
            "images": self._images,
            "failed": self._failed,
            "busy_seconds": self._busy,
            "longest_seconds": self._longest,
        }
        persistently(lambda: self._store.write("workers", self._part, [row]))
