"""A call that hangs ends its worker; one that is slow by its nature does not."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.platform.execution.watchdog import Patience, Watchdog
from tests.forked import end_of

SHORT = Patience(first=0.2, least=0.0, times=1000.0, grace=60.0)


def hang() -> None:
    time.sleep(1e6)


def hang_with_lock() -> None:
    ctypes.PyDLL(None).sleep(1000)


def test_a_call_that_hangs_ends_the_process_after_telling_how_long_it_took(tmp_path: Path) -> None:
    def worker() -> None:
        told = tmp_path / "told"
        with Watchdog(SHORT).watch("kind", 1, lambda seconds: told.write_text(str(seconds))):
            hang()

    assert end_of(worker) == 1
    assert (tmp_path / "told").read_text() == "0.2"


@pytest.mark.parametrize(("work", "tell"), [(hang_with_lock, print), (hang, lambda _: hang())])
def test_what_keeps_the_watchdog_itself_from_running_does_not_help(
    work: Callable[[], None], tell: Callable[[float], None]
) -> None:
    def worker() -> None:
        with Watchdog(SHORT._replace(grace=0.1)).watch("kind", 1, tell):
            work()

    assert end_of(worker) == 1


def test_work_that_is_done_is_left_alone_and_a_failure_passes() -> None:
    def worker() -> None:
        dog = Watchdog(SHORT)
        with dog.watch("kind", 1, pytest.fail):
            pass
        with pytest.raises(ValueError, match="poison"), dog.watch("kind", 1, pytest.fail):
            raise ValueError("poison")
        time.sleep(0.4)

    assert end_of(worker) == 0


def test_a_shorter_deadline_of_somebody_who_measured_counts() -> None:
    def worker() -> None:
        with Watchdog(Patience()).watch("kind", 1, print, at_most=0.1):
            hang()

    assert end_of(worker) == 1


def test_the_deadline_follows_from_the_longest_call_of_its_kind() -> None:
    dog = Watchdog(SHORT._replace(first=100.0))
    for seconds in (0.02, 0.01):
        assert dog.deadline("kind", 1) == 100.0 or seconds == 0.01
        with dog.watch("kind", 4, pytest.fail):
            time.sleep(seconds)
    assert 20.0 <= dog.deadline("kind", 4) < 100.0
    # Smaller batches are given the time of larger ones, and those theirs in proportion.
    assert dog.deadline("kind", 1) == dog.deadline("kind", 4)
    assert dog.deadline("kind", 8) == pytest.approx(2 * dog.deadline("kind", 4))
    assert dog.deadline("another", 4) == 100.0


def test_no_deadline_is_shorter_than_the_least() -> None:
    dog = Watchdog(Patience(least=50.0))
    with dog.watch("kind", 1, pytest.fail):
        pass
    assert dog.deadline("kind", 1) == 50.0
