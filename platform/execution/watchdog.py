"""A watchdog in every worker: a call that takes far too long ends its process, and Ray repeats it.

Nothing else would: a call into a driver or a file system that hangs neither returns nor raises.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple


class Patience(NamedTuple):
    """How many seconds a call may take: `times` the longest of its kind, but not below `least`."""

    first: float = 7200.0  # before one is measured: weights may come a long way, and a CPU is slow
    least: float = 600.0
    times: float = 10.0
    grace: float = 60.0  # for the last words, which may hang as well


PATIENCE = Patience()


class Longest(NamedTuple):
    """The longest that calls of a kind have taken, in seconds."""

    call: float = 0.0
    image: float = 0.0  # a call's seconds by its images


class Watchdog:
    """Watches the calls of one worker, and learns from each how long the next may take."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._longest: dict[Hashable, Longest] = {}

    def deadline(self, kind: Hashable, images: int) -> float:
        """Return the seconds that a call of a kind may take for so many images."""
        if kind not in self._longest:
            return self.patience.first
        longest = self._longest[kind]
        # A batch of one is not made in a sixteenth of the time that sixteen take.
        expected = max(longest.call, longest.image * images)
        return max(self.patience.least, self.patience.times * expected)

    @contextmanager
    def watch(
        self,
        kind: Hashable,
        images: int,
        tell: Callable[[float], object],
        at_most: float | None = None,
    ) -> Iterator[None]:
        """End this process if the block takes too long, after telling after how many seconds."""
        own = self.deadline(kind, images)
        deadline = own if at_most is None else min(own, at_most)
        timer = threading.Timer(deadline, _end, (tell, deadline))
        timer.daemon = True
        # Code that keeps the interpreter's lock keeps the timer from running, but not this one.
        faulthandler.dump_traceback_later(
            deadline + self.patience.grace, exit=True, file=sys.__stderr__ or 2
        )
        start = perf_counter()
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            faulthandler.cancel_dump_traceback_later()
        seconds = perf_counter() - start
        call, image = self._longest.get(kind, Longest())
        self._longest[kind] = Longest(max(call, seconds), max(image, seconds / images))


def _end(tell: Callable[[float], object], deadline: float) -> None:
    try:
        tell(deadline)
    finally:
        os._exit(1)
