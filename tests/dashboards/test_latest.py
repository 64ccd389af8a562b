"""What takes long to read is kept for as long as that is worth."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bakeoff.dashboards.latest import Latest


class Clock:
    """A time that only reading takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self, value: str, seconds: float) -> str:
        self.now += seconds
        return value


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("bakeoff.dashboards.latest.time.monotonic", lambda: made.now)
    return made


def test_a_value_is_kept_ten_times_as_long_as_it_took(clock: Clock) -> None:
    latest: Latest[str] = Latest()
    assert latest.get("1", lambda: clock.read("one", 3)) == ("1", "one")
    clock.now += 29
    assert latest.get("2", lambda: clock.read("two", 3)) == ("1", "one")
    clock.now += 2
    assert latest.get("1", lambda: clock.read("anew", 3)) == ("1", "one")
    assert latest.get("2", lambda: clock.read("two", 3)) == ("2", "two")


def test_what_was_dropped_or_could_not_be_read_is_read_anew(clock: Clock) -> None:
    latest: Latest[str] = Latest()
    with pytest.raises(ZeroDivisionError):
        latest.get("1", lambda: str(1 / 0))
    assert latest.get("1", lambda: clock.read("one", 3)) == ("1", "one")
    latest.drop()
    assert latest.get("2", lambda: clock.read("two", 3)) == ("2", "two")


def test_those_who_come_at_once_share_one_reading() -> None:
    latest: Latest[object] = Latest()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: latest.get("1", object), range(4)))
    assert len(set(found)) == 1
