"""Seconds by stage: by the clock on a CPU, by events in the stream on a GPU."""

from itertools import pairwise
from time import perf_counter

import torch


class Stopwatch:
    """Counts the time since the last lap, or since it was made, to a stage; stages may come again.

    A GPU works behind the program that tells it what to do: there a lap is an event, which the GPU
    notes when it gets to it, and nobody waits before `seconds`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stages: list[str] = []
        self.times: list[float] = []
        self.events: list[torch.cuda.Event] = []
        self._stamp()

    def lap(self, stage: str) -> None:
        """End a stage here."""
        self.stages.append(stage)
        self._stamp()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every stage so far, in the order of their first laps."""
        total = dict.fromkeys(self.stages, 0.0)
        for stage, spent in zip(self.stages, self._spans(), strict=True):
            total[stage] += spent
        return total

    def _stamp(self) -> None:
        if self.device.type != "cuda":
            self.times.append(perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        self.events.append(event)

    def _spans(self) -> list[float]:
        if self.device.type != "cuda":
            return [end - start for start, end in pairwise(self.times)]
        self.events[-1].synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in pairwise(self.events)]  # from ms
