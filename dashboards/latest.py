"""What takes long to read of a store that grows: read anew only when that is worth its time."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

PATIENCE = 10  # a value is kept so many times as long as it took to read

T = TypeVar("T")


class Latest(Generic[T]):
    """A value with the state of the store that it was read in, one for all who look."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: tuple[str, T] | None = None
        self._good_until = 0.0

    def get(self, state: str, read: Callable[[], T]) -> tuple[str, T]:
        """Return the value with its state: that asked for, or one that has not been kept enough."""
        with self._lock:
            held = self._held
            if held and (held[0] == state or time.monotonic() < self._good_until):
                return held
            start = time.monotonic()
            self._held = held = state, read()
            self._good_until = time.monotonic() + PATIENCE * (time.monotonic() - start)
            return held

    def drop(self) -> None:
        """Forget the value."""
        with self._lock:
            self._held = None
