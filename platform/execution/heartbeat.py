"""Signs of life of the run that writes a store: a second run is refused as long as they come.

The claim of a store keeps two runs from mixing; this keeps the second from ending the first. A dead
run never blocks: what counts is that the signs change while one looks, and no clock is compared.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.places import Place, commit
from bakeoff.samplers.errors import InputError

ALIVE_FILE = "alive.json"
BEAT_SECONDS = 2.0
SILENCE_SECONDS = 10.0  # who gives no sign for so long is dead


@contextmanager
def beating(store: Place, run_id: str, every_seconds: float = BEAT_SECONDS) -> Iterator[None]:
    """Give signs of life of a run until the block ends."""
    file, ended = store / ALIVE_FILE, threading.Event()
    who = {"run_id": run_id, **_place_of_pids(), "pid": os.getpid()}

    def beat(number: int) -> None:
        text = json.dumps(who | {"beat": number}) + "\n"
        with suppress(OSError):  # a sign that fails is one that is missing
            commit(file, lambda passing: passing.write_text(text, encoding="utf-8"))

    def go_on() -> None:
        for number in count(1):
            if ended.wait(every_seconds):
                return
            beat(number)

    beat(0)
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):  # what ended the block is the news, not this
            if (_read(file) or {}).get("run_id") == run_id:
                file.unlink(missing_ok=True)


def check_alone(store: Place, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Check that no run is writing a store; looks for a while if one may be.

    Raises:
        InputError: one is, or its signs cannot be read.
    """
    first = _signs(store)
    if first is None or _is_dead_here(first):
        return
    end = time.monotonic() + silence_seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        now = _signs(store)
        if now is None:
            return
        if now != first:
            raise InputError(
                f"store {store} is being written by run {now.get('run_id')}, process "
                f"{now.get('pid')} on {now.get('host')}: wait for its end, or stop it"
            )


def _is_dead_here(signs: dict[str, Any]) -> bool:
    """Whether the process that gave the signs is known not to run, since it would run here."""
    pid, here = signs.get("pid"), _place_of_pids()
    is_here = here["pid_namespace"] is not None and here.items() <= signs.items()
    if not is_here or type(pid) is not int or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # somebody else's, or no process that there could be
        pass
    return False


def _place_of_pids() -> dict[str, str | None]:
    """Return where a pid means a process: containers of one host may share its name."""
    namespace = None
    with suppress(OSError):  # not on every system
        namespace = os.readlink("/proc/self/ns/pid")
    return {"host": socket.gethostname(), "pid_namespace": namespace}


def _signs(store: Place) -> dict[str, Any] | None:
    """Return the signs as `_read`; storage that fails tells of no death, and is tried again."""
    try:
        return persistently(lambda: _read(store / ALIVE_FILE))
    except OSError as error:
        raise InputError(
            f"whether a run is writing store {store} cannot be told: {ALIVE_FILE} cannot be read "
            f"({error.strerror})"
        ) from error


def _read(file: Place) -> dict[str, Any] | None:
    """Return the signs; none without a file, empty ones of a file that is no JSON mapping.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
