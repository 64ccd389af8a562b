"""A second run is refused while the first lives, and never by a dead one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.platform.execution.heartbeat import ALIVE_FILE, beating, check_alone
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
