"""Slips as a source of Ray Data: rows that stand for work which the foreman has yet to give."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from ray.actor import ActorHandle
from ray.data import Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from bakeoff.platform.execution.foreman import TOO_EARLY

POLL_SECONDS = 0.25  # slips are given out ahead, so nobody waits for this long
Row = dict[str, Any]
EMPTY: Mapping[str, Any] = {
    "kind": "slip", "work": "", "part": "", "slip": 0,
    "images": 0, "made": 0, "failed": 0, "size_bytes": 0, "stopped": "",
}  # fmt: skip


class Slips(Datasource):
    """Rows given at once, then a slip whenever the foreman has one, each a block of its own."""

    def __init__(self, foreman: ActorHandle, first: Sequence[Row]) -> None:
        super().__init__()
        self.foreman, self.first = foreman, first

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:
        """Return one task, a stream that waits where workers have enough."""
        metadata = BlockMetadata(None, None, None, None)
        return [ReadTask(partial(_blocks, self.foreman, self.first), metadata)]

    def estimate_inmemory_data_size(self) -> int | None:
        """Return nothing: it is not known, and little."""
        return None

    @property
    def supports_distributed_reads(self) -> bool:
        """Stay on the driver's node, which lasts as long as the run."""
        return False


def _blocks(foreman: ActorHandle, first: Sequence[Row]) -> Iterator[pa.Table]:
    try:
        ray.get(foreman.open.remote())
    except ray.exceptions.RayTaskError as error:
        yield _block({"stopped": f"{type(error.cause).__name__}: {error.cause}"})
        return
    yield from map(_block, first)
    while (slip := ray.get(foreman.slip.remote())) is not None:
        if slip == TOO_EARLY:
            time.sleep(POLL_SECONDS)
        else:
            yield _block({"slip": slip})


def _block(row: Row) -> pa.Table:
    return pa.Table.from_pylist([{**EMPTY, **row}])
