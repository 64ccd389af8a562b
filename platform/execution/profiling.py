"""What a shard takes besides its seconds: peak memory, and energy where a GPU counts it."""

import ctypes
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import torch

from bakeoff.platform.execution.energy import EnergyMeter

MemoryKind = Literal["rss_above_baseline", "cuda_reserved"]
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


class Gauges:
    """Memory and energy that what happens after `reset` takes.

    On a CPU libraries keep something of every new shape that they meet, compiled kernels above
    all, so that a process grows whatever it does. Where it is told when models are `loading`, the
    memory is therefore that of the model and the rise of the peak above what is held afterwards.
    """

    def __init__(self, device: str) -> None:
        self.memory, self.energy = MemoryGauge(device), EnergyMeter(device)
        self._model_bytes: int | None = None

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Take what is held more at the end for the memory of the one model that is loaded."""
        before = self.memory.held_bytes()
        yield
        self._model_bytes = self.memory.held_bytes() - before

    def reset(self) -> None:
        """Forget what was taken."""
        self.memory.reset()
        self.energy.reset()

    def columns(self) -> dict[str, Any]:
        """Return what was taken since the last `reset`, as columns of the table `profiles`."""
        peak_bytes = self.memory.peak_bytes()
        if self._model_bytes is not None and self.memory.kind == "rss_above_baseline":
            rise = peak_bytes - self.memory.held_bytes()
            peak_bytes = max(0, self._model_bytes) + max(0, rise)
        return {
            "peak_memory_bytes": peak_bytes,
            "memory_kind": self.memory.kind,
            "peak_allocated_bytes": self.memory.peak_allocated_bytes(),
            "energy_joules": self.energy.joules(),
        }


class MemoryGauge:
    """Peak memory of what happens after `reset`.

    On a GPU the bytes that torch's allocator reserved, the paper's figure. On a CPU the
    resident set above what it was when the gauge was made: code imported, no model loaded.
    """

    def __init__(self, device: str) -> None:
        self.kind: MemoryKind = (
            "cuda_reserved" if device.startswith("cuda") else "rss_above_baseline"
        )
        gc.collect()
        self._baseline = 0 if self.kind == "cuda_reserved" else _resident_bytes("VmRSS")

    def reset(self) -> None:
        """Forget earlier peaks."""
        if self.kind == "cuda_reserved":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        elif CLEAR_REFS.exists():
            _trim()  # what earlier work freed and the C library keeps is not taken by the next
            CLEAR_REFS.write_text("5")  # sets the process's high-water mark to what it holds now

    def peak_bytes(self) -> int:
        """Return the peak since the last `reset`."""
        if self.kind == "cuda_reserved":
            return torch.cuda.max_memory_reserved()
        return max(0, _resident_bytes("VmHWM") - self._baseline)

    def held_bytes(self) -> int:
        """Return what is held now, above the same baseline, once freed memory is given back."""
        if self.kind == "cuda_reserved":
            return torch.cuda.memory_reserved()
        _trim()
        return _resident_bytes("VmRSS") - self._baseline

    def peak_allocated_bytes(self) -> int | None:
        """Return the peak of what tensors took of the reserved memory; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self.kind == "cuda_reserved" else None


def release_memory() -> None:
    """Give back what a model held that is gone, so that it does not count for the next one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    _trim()


def _trim() -> None:
    """Give freed pages back to the system, which Arrow and glibc keep otherwise."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def _resident_bytes(field: Literal["VmRSS", "VmHWM"]) -> int:
    if not STATUS.exists():  # no Linux: the peak of the whole process is all there is
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024
