"""Storage that fails for a moment costs a pause, storage that is full none."""

import errno

import pytest

from bakeoff.platform.store.persistence import persistently


class Storage:
    """Fails so many times, then holds."""

    def __init__(self, times: int, error: OSError) -> None:
        self.times, self.error = times, error
        self.pauses: list[float] = []

    def write(self) -> str:
        if len(self.pauses) < self.times:
            raise self.error
        return "written"


TIMEOUT = OSError("When uploading part: AWS Error NETWORK_CONNECTION during PutObject: timed out")


@pytest.mark.parametrize("error", [TIMEOUT, OSError(errno.EIO, "I/O error")])
def test_a_storage_error_that_passes_is_waited_for_longer_and_longer(error: OSError) -> None:
    storage = Storage(5, error)
    assert persistently(storage.write, storage.pauses.append) == "written"
    assert len(storage.pauses) == 5
    assert storage.pauses[0] <= 1.5 < 8 <= storage.pauses[4]


def test_a_storage_error_that_stays_is_raised_in_the_end() -> None:
    storage = Storage(1000, TIMEOUT)
    with pytest.raises(OSError, match="timed out"):
        persistently(storage.write, storage.pauses.append)
    assert 30 < sum(storage.pauses) < 100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_disk_is_not_waited_for(number: int) -> None:
    storage = Storage(1, OSError(number, "no"))
    with pytest.raises(OSError, match="no"):
        persistently(storage.write, storage.pauses.append)
    assert storage.pauses == []


def test_of_work_within_work_the_outermost_is_tried_again() -> None:
    storage = Storage(3, TIMEOUT)

    def outer() -> str:
        return persistently(storage.write, lambda wait: pytest.fail("paused"))

    assert persistently(outer, storage.pauses.append) == "written"
    assert len(storage.pauses) == 3


def test_another_error_is_none_of_storage() -> None:
    def claimed() -> None:
        raise ValueError("claimed by a later run")

    with pytest.raises(ValueError, match="later run"):
        persistently(claimed, lambda wait: pytest.fail("paused"))
