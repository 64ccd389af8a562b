"""A stage's seconds are those between its laps, by whichever clock the device has."""

from itertools import count

import pytest
import torch

from bakeoff.samplers.stopwatch import Stopwatch


def test_laps_of_a_stage_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 3.5, 7.5])
    monkeypatch.setattr("bakeoff.samplers.stopwatch.perf_counter", lambda: next(clock))
    watch = Stopwatch(torch.device("cpu"))
    for stage in ("text", "network", "draw", "network"):
        watch.lap(stage)
    assert watch.seconds() == {"text": 1.0, "network": 6.0, "draw": 0.5}


def test_a_watch_without_laps_has_no_stages() -> None:
    assert Stopwatch(torch.device("cpu")).seconds() == {}


def test_a_gpu_is_waited_for_once_and_asked_for_its_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks, waited = count(0, 250), []  # a GPU whose events lie a quarter of a second apart

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            assert stream == "stream of cuda:1"
            self.at_ms = next(ticks)

        def synchronize(self) -> None:
            waited.append(self.at_ms)

        def elapsed_time(self, end: "Event") -> float:
            return float(end.at_ms - self.at_ms)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    host = "bakeoff.samplers.stopwatch.perf_counter"
    monkeypatch.setattr(host, lambda: pytest.fail("the host's clock was read"))
    watch = Stopwatch(torch.device("cuda:1"))
    for stage in ("network", "draw", "network", "draw"):
        watch.lap(stage)
    assert not waited
    assert watch.seconds() == {"network": 0.5, "draw": 0.5}
    assert waited == [1000]
