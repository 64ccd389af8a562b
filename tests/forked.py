"""Workers as forks of the test's own process: they are there at once, and may die of their work."""

import faulthandler
import multiprocessing
from collections.abc import Callable

import pytest

FORK = multiprocessing.get_context("fork")


def end_of(work: Callable[[], object]) -> int | None:
    """Return the exit code of a process that does the work, or the signal that it died of, as -n.

    pytest's timer for tests that hang is ended first: a fork has none of its threads, and waits
    for it for ever when it sets a timer of its own.
    """
    faulthandler.cancel_dump_traceback_later()
    process = FORK.Process(target=work)
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        pytest.fail("the worker still hangs")
    return process.exitcode
