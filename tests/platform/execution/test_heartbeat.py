"""A second run is refused while the first lives, and never by a dead one."""

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.platform.execution.heartbeat import ALIVE_FILE, beating, check_alone
from bakeoff.platform.store import persistence
from bakeoff.samplers.errors import InputError

WRITER = """
import sys, time
from pathlib import Path
from bakeoff.platform.execution.heartbeat import beating
with beating(Path(sys.argv[1]), "first", 0.1):
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that gives signs of life until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"writing\n"
    yield process
    process.kill()
    process.wait()


def test_a_live_run_is_told_of(writer: subprocess.Popen, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"written by run first, process {writer.pid} on "):
        check_alone(tmp_path, 60.0)


def test_a_run_that_ended_leaves_no_sign(writer: subprocess.Popen, tmp_path: Path) -> None:
    writer.communicate()
    assert writer.returncode == 0 and list(tmp_path.iterdir()) == []
    check_alone(tmp_path)


def test_a_killed_run_does_not_block(writer: subprocess.Popen, tmp_path: Path) -> None:
    writer.kill()
    writer.wait()
    assert (tmp_path / ALIVE_FILE).exists()
    check_alone(tmp_path, 1e9)  # known at once: its process would be here


@pytest.mark.parametrize(
    "signs",
    [
        {"run_id": "a", "host": "elsewhere", "pid": 1, "beat": 7},
        {"run_id": "a", "host": None, "pid": "1"},
        {},
        ["a"],
    ],
)
def test_a_run_elsewhere_that_is_silent_does_not_block(signs: object, tmp_path: Path) -> None:
    (tmp_path / ALIVE_FILE).write_text(json.dumps(signs))
    check_alone(tmp_path, 0.3)


def test_the_end_of_an_earlier_run_leaves_the_later_ones_signs(tmp_path: Path) -> None:
    with beating(tmp_path, "first"):
        (tmp_path / ALIVE_FILE).write_text('{"run_id": "second"}')
    assert json.loads((tmp_path / ALIVE_FILE).read_text()) == {"run_id": "second"}


def fail_reads(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let so many reads of a file fail, as of storage that is busy."""
    monkeypatch.setattr(persistence, "WAITS_SECONDS", (0.01, 0.01))
    read, left = Path.read_text, [None] * times

    def read_text(file: Path, **options: str) -> str:
        if left:
            left.pop()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, **options)

    monkeypatch.setattr(Path, "read_text", read_text)


def test_a_sign_that_cannot_be_read_for_a_moment_is_no_death(
    writer: subprocess.Popen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_reads(monkeypatch, 1)
    with pytest.raises(InputError, match="is being written by run first"):
        check_alone(tmp_path, 60.0)


def test_signs_that_cannot_be_read_at_all_admit_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_reads(monkeypatch, 100)
    with pytest.raises(InputError, match=r"alive.json cannot be read \(Input/output error\)"):
        check_alone(tmp_path, 0.3)


def test_a_run_ends_as_it_did_though_its_sign_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), beating(tmp_path, "first"):
        fail_reads(monkeypatch, 100)
        raise KeyboardInterrupt


@pytest.mark.parametrize("told", [{}, {"pid_namespace": None}, {"pid_namespace": "pid:[1]"}])
def test_a_run_in_a_container_of_the_same_host_name_is_not_taken_for_dead(
    told: dict[str, str | None], tmp_path: Path
) -> None:
    """Its process is none of those that are seen from here. An older Bakeoff told of no more."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    signs = {"run_id": "first", "host": socket.gethostname(), "pid": gone.pid, **told}
    file = tmp_path / ALIVE_FILE
    file.write_text(json.dumps(signs | {"beat": 0}))
    threading.Timer(0.3, lambda: file.write_text(json.dumps(signs | {"beat": 1}))).start()
    with pytest.raises(InputError, match="is being written by run first"):
        check_alone(tmp_path, 60.0)
