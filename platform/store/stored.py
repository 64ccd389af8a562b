"""What a store holds, told compactly: sixteen bytes a row, looked up thousands at a time."""

from binascii import unhexlify
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bakeoff.platform.store.store import Store

DIGEST = "S16"  # a sample_id in bytes: what numpy cuts off, zeros at its end, it takes as equal
Digests = NDArray[np.bytes_]
NO_DIGESTS: Digests = np.empty(0, DIGEST)


class MetricKey(NamedTuple):
    """A metric whose scores may stand side by side."""

    name: str
    version: str


class StageKey(NamedTuple):
    """What can fail of a sample: making it, tracing it, or a metric of one version."""

    stage: str
    metric_version: str | None = None


def _halves(digests: Digests) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return digests as two numbers each, which are compared faster than bytes."""
    halves = np.ascontiguousarray(digests).view(">u8").reshape(-1, 2).astype(np.uint64)
    return halves[:, 0], halves[:, 1]


class Ids:
    """A set of sample ids, 16 bytes each."""

    def __init__(self, digests: Digests) -> None:
        self._index = Index(digests)

    @classmethod
    def of(cls, sample_ids: Sequence[str]) -> Self:
        """Return the set of these ids."""
        return cls(digests(pa.array(sample_ids, pa.string())))

    def __len__(self) -> int:
        return len(self._index)

    def hold(self, wanted: Digests) -> NDArray[np.bool_]:
        """Return which of the wanted are there."""
        return self._index.find(wanted) >= 0


class Index:
    """Many digests in order, and columns of numbers that go along with them."""

    def __init__(self, digests: Digests, *along: NDArray[np.int32]) -> None:
        high, low = _halves(digests)
        order = np.argsort(high)
        self._high, self._low = high[order], low[order]
        self.along = [numbers[order] for numbers in along]

    def __len__(self) -> int:
        return len(self._high)

    def find(self, wanted: Digests) -> NDArray[np.int64]:
        """Return the place of each wanted digest in the order, -1 where it is not there."""
        high, low = _halves(wanted)
        order = np.argsort(high)  # neighbours are looked for in the same memory
        places = np.empty(len(wanted), np.int64)
        places[order] = np.searchsorted(self._high, high[order])
        found = np.full(len(wanted), -1)
        left = np.arange(len(wanted))
        while len(left):  # once, but for digests that share eight bytes and stand side by side
            left = left[places[left] < len(self)]
            left = left[self._high[places[left]] == high[left]]
            hit = self._low[places[left]] == low[left]
            found[left[hit]] = places[left[hit]]
            left = left[~hit]
            places[left] += 1
        return found


NOTHING = Ids(NO_DIGESTS)


class Places:
    """The part in which each stored sample lies."""

    def __init__(self, digests: Digests, parts: NDArray[np.int32], names: Sequence[str]) -> None:
        self._index, self.names = Index(digests, parts), tuple(names)

    @classmethod
    def of(cls, parts: Mapping[str, str]) -> Self:
        """Return where samples lie, given the file name of each one's part."""
        names = sorted(set(parts.values()))
        numbers = np.array([names.index(name) for name in parts.values()], np.int32)
        return cls(digests(pa.array(parts, pa.string())), numbers, names)

    def __len__(self) -> int:
        return len(self._index)

    def find(self, wanted: Digests) -> NDArray[np.int32]:
        """Return the place in `names` of each wanted sample's part, -1 where there is none."""
        (parts,) = self._index.along
        places = self._index.find(wanted)
        found = np.full(len(wanted), -1, np.int32)
        found[places >= 0] = parts[places[places >= 0]]
        return found


@dataclass(frozen=True)
class Stored:
    """What a store holds: the part of each sample, scores by metric, what was traced, what failed.

    What failed for good is not planned again.
    """

    samples: Places = field(default_factory=lambda: Places.of({}))
    scores: Mapping[MetricKey, Ids] = field(default_factory=dict)
    traced: Ids = NOTHING
    failed: Mapping[StageKey, Ids] = field(default_factory=dict)

    def scored(self, metric: MetricKey, wanted: Digests) -> NDArray[np.bool_]:
        """Return which of the wanted have a score of a metric."""
        return self.scores.get(metric, NOTHING).hold(wanted)

    def given_up(self, stage: StageKey, wanted: Digests) -> NDArray[np.bool_]:
        """Return which of the wanted failed for good at a stage."""
        return self.failed.get(stage, NOTHING).hold(wanted)


def digests(sample_ids: pa.Array | pa.ChunkedArray) -> Digests:
    """Return ids as bytes [N]; what is no id, which nobody can want, is left out."""
    whole = sample_ids.combine_chunks() if isinstance(sample_ids, pa.ChunkedArray) else sample_ids
    proper = whole.filter(pc.match_substring_regex(whole, "^[0-9a-f]{32}$"))
    text = proper.cast(pa.binary()).cast(pa.binary(32)).buffers()[1] if len(proper) else b""
    return np.frombuffer(unhexlify(memoryview(text)[: 32 * len(proper)]), DIGEST)


def read_stored(store: Store, *, traces: bool, tries: int | None) -> Stored:
    """Return what a store holds, its traces if asked for.

    Failed for good is what failed in so many `tries`; nothing is without a number.

    Raises:
        InputError: a part of the store cannot be read.
    """
    scores = _by_key(store, "scores", "metric", "metric_version")
    failed = _by_key(store, "failures", "stage", "metric_version", tries=tries) if tries else {}
    traced = _by_key(store, "traces") if traces else {}
    return Stored(
        _places(store),
        {MetricKey(name, version): ids for (name, version), ids in scores.items()},
        traced.get((), NOTHING),
        {StageKey(stage, version or None): ids for (stage, version), ids in failed.items()},
    )


def _places(store: Store) -> Places:
    names, found = [], []
    for part, rows in store.read_parts("samples", ["sample_id"]):
        names.append(part.name)
        found.append(digests(rows["sample_id"]))
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), list(map(len, found)))
    return Places(_joined(found), numbers, names)


def _joined(found: list[Digests]) -> Digests:
    """Return digests in one piece, and empty the list, for there may be gigabytes of them."""
    whole = np.concatenate([NO_DIGESTS, *found])
    found.clear()
    return whole


def _by_key(
    store: Store, table: str, *columns: str, tries: int | None = None
) -> dict[tuple[str, ...], Ids]:
    """Return ids by the values of columns, null as ""; of so many `tries`, if a number is given."""
    found: defaultdict[tuple[str, ...], list[Digests]] = defaultdict(list)
    read = ["sample_id", *columns, *(["attempt"] if tries else [])]
    for _, rows in store.read_parts(table, read):
        if tries:
            rows = rows.filter(pc.greater_equal(rows["attempt"], tries))
        for key, own in _split(rows, columns):
            # traces come many to a sample, and have no key
            found[key].append(digests(own) if key else np.unique(digests(own)))
    return {key: Ids(_joined(found.pop(key))) for key in list(found)}


def _split(
    rows: pa.Table, columns: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], pa.ChunkedArray]]:
    """Yield the ids of rows by the values of columns."""
    told = {name: pc.fill_null(rows[name], "") for name in columns}
    keys = pa.table(told).group_by(list(columns)).aggregate([]).to_pylist() if columns else [{}]
    for key in keys:
        own = rows["sample_id"]
        if len(keys) > 1:
            own = own.filter(reduce(pc.and_, (pc.equal(told[name], key[name]) for name in columns)))
        yield tuple(key.values()), own
