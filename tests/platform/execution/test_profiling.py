"""What a shard takes: memory that is its own, and energy where a GPU counts it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bakeoff.platform.execution import energy
from bakeoff.platform.execution.energy import EnergyMeter
from bakeoff.platform.execution.profiling import Gauges, release_memory


class NVMLError(Exception):
    pass


class Library:
    """NVML of a machine with one GPU: at every reading it has taken 1500 mJ more."""

    NVMLError = NVMLError

    def __init__(self, *, counts: bool = True) -> None:
        self.counts, self.taken = counts, 0

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != "GPU-1234":
            raise NVMLError("not found")
        return "the GPU"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        assert handle == "the GPU"
        if not self.counts:
            raise NVMLError("not supported")
        self.taken += 1500
        return self.taken


def meter(monkeypatch: pytest.MonkeyPatch, library: Any, uuid: str = "1234") -> EnergyMeter:
    monkeypatch.setattr(energy, "pynvml", library)
    gpu = SimpleNamespace(uuid=uuid)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    return EnergyMeter("cuda")


def test_energy_is_what_the_gpu_took_since_the_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    found = meter(monkeypatch, Library())
    assert found.joules() == 1.5
    assert found.joules() == 3.0
    found.reset()
    assert found.joules() == 1.5


def test_energy_is_unknown_where_nothing_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert meter(monkeypatch, None).joules() is None  # without the extra
    assert meter(monkeypatch, Library(counts=False)).joules() is None  # too old
    assert meter(monkeypatch, Library(), uuid="5678").joules() is None  # a slice of a GPU
    assert EnergyMeter("cpu").joules() is None


def test_memory_of_tensors_alone_is_a_figure_of_gpus_only() -> None:
    release_memory()  # what earlier tests freed would be given back between, and hide it
    gauges = Gauges("cpu")
    gauges.reset()
    kept = torch.ones(20_000_000)
    taken = gauges.columns()
    assert taken.pop("peak_memory_bytes") >= kept.nbytes / 2
    assert taken == {
        "memory_kind": "rss_above_baseline",
        "peak_allocated_bytes": None,
        "energy_joules": None,
    }


def test_memory_that_was_freed_before_the_reset_does_not_count() -> None:
    gauges = Gauges("cpu")
    blocks = [torch.ones(25_000) for _ in range(2_000)]  # 200 MB of blocks that glibc would keep
    stay = blocks[-1]  # at the end of the heap, so that it cannot shrink
    del blocks
    gauges.reset()
    assert gauges.columns()["peak_memory_bytes"] < 50e6 + stay.nbytes


def test_memory_of_a_model_does_not_depend_on_what_was_done_before() -> None:
    gauges = Gauges("cpu")
    with gauges.loading():
        model = torch.ones(20_000_000)  # 80 MB
    kept = []
    for _ in range(3):
        gauges.reset()
        kept.append(torch.ones(10_000_000))  # as a library keeps compiled kernels: 40 MB each
        work = torch.ones(15_000_000)  # 60 MB
        del work
        peak_bytes = gauges.columns()["peak_memory_bytes"]
        assert peak_bytes == pytest.approx(model.nbytes + 60e6, abs=10e6)
