"""`bakeoff submit` against a real Ray head that asks for a token."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.store.store import Store

TOKEN = "a" * 64
BINARIES = Path(sys.executable).parent
PROMPTS = "a red circle\na blue square\n"
STUDY = """
name: handed-over
prompts: texts/prompts.txt
metrics: [clip_score]
models: [{model: tiny-meissonic, recipes: {vanilla: steps=4}}]
"""


class Head(NamedTuple):
    """A Ray head: its Jobs address, and the environment of who may talk to it."""

    address: str
    environment: dict[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(token: str | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "BAKEOFF_"))}
    own = {"PATH": f"{BINARIES}:{kept['PATH']}", "COLUMNS": "120", "HOME": "/nowhere"}
    return kept | own | ({"RAY_AUTH_TOKEN": token} if token else {})


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    port, agent, answers = free_port(), free_port(), time.monotonic() + 90
    mode = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    with TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as home:  # sockets: short
        process = subprocess.Popen(
            [str(BINARIES / "ray"), "start", "--head", "--block", "--num-cpus=2",
             f"--port={free_port()}", f"--dashboard-port={port}", "--dashboard-host=127.0.0.1",
             f"--dashboard-agent-listen-port={agent}", "--object-store-memory=100000000",
             "--temp-dir", home],
            env=environment(TOKEN) | mode | {"HOME": home},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            while not (listens(port) and listens(agent)):  # jobs are the agent's to start
                assert process.poll() is None and time.monotonic() < answers
                time.sleep(0.2)
            yield Head(f"http://127.0.0.1:{port}", environment(TOKEN))
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # on a gentler one it waits for 30 seconds
            process.wait()


def listens(port: int) -> bool:
    """Say whether anybody listens there, on whichever of this machine's addresses."""
    ports = (line.split()[1:4:2] for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(int(here.rpartition(":")[2], 16) == port and state == "0A" for here, state in ports)


def bakeoff(env: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    script = "from bakeoff.platform.cli import app; app(prog_name='bakeoff')"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def refusal(exit_code: int, stdout: str, stderr: str) -> str:
    assert (exit_code, stdout) == (2, ""), stderr
    (sentence,) = stderr.splitlines()
    return sentence


def refused(token: str | None, *arguments: object) -> str:
    """Return the sentence that refuses what needs no cluster to be refused."""
    nobody = {"HOME": "/nowhere", "RAY_AUTH_TOKEN": token, "RAY_AUTH_TOKEN_PATH": None}
    result = CliRunner(env=nobody).invoke(app, ["submit", *map(str, arguments)])
    return refusal(result.exit_code, result.stdout, result.stderr)


def status(head: Head, job: str) -> str:
    command = [str(BINARIES / "ray"), "job", "status", "--address", head.address, job]
    env = head.environment | {"RAY_AUTH_MODE": "token"}
    return subprocess.run(command, env=env, capture_output=True, text=True).stdout


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "here/texts").mkdir(parents=True)
    (tmp_path / "here/texts/prompts.txt").write_text(PROMPTS)
    (tmp_path / "here/study.yaml").write_text(STUDY)
    return tmp_path / "here/study.yaml"


def test_a_study_and_its_prompts_travel_and_are_run(
    head: Head, study: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    elsewhere = {"RAY_ADDRESS": "127.0.0.1:1"}  # what is asked for counts, not this
    asked = ("--store", store, "--address", head.address, "--", "--limit", "1")
    result = bakeoff(head.environment | elsewhere, "submit", study, *asked)
    assert result.returncode == 0, result.stderr
    job = result.stdout.split()[1]
    deadline = time.monotonic() + 240
    while "succeeded" not in (told := status(head, job)):
        assert "failed" not in told and time.monotonic() < deadline, told
        time.sleep(0.5)
    rows = Store(store).read("samples", ["prompt"]).to_pylist()
    assert [row["prompt"] for row in rows] == PROMPTS.splitlines()[:1]


@pytest.mark.parametrize(
    ("port", "token", "sentence"),
    [
        (None, "b" * 64, "invalid authentication token"),
        (1, TOKEN, "no ray cluster answers at http://127.0.0.1:1"),
    ],
)
def test_who_does_not_answer_or_knows_another_token_is_named(
    head: Head, port: int | None, token: str, sentence: str
) -> None:
    address = f"http://127.0.0.1:{port}" if port else head.address
    arguments = ("submit", "embedded", "--store", "/shared/store", "--address", address)
    result = bakeoff(environment(token), *arguments)
    assert sentence in refusal(result.returncode, result.stdout, result.stderr).lower()


@pytest.mark.parametrize(
    ("arguments", "token", "sentence"),
    [
        (["--store", "/shared/store"], None, "no token for the cluster"),
        (["--store", "store"], TOKEN, "must be an absolute path or a bucket"),
        (["--store", "/s", "--address", "http://10.0.0.7:8265"], TOKEN, "in the clear"),
        (["--store", "/s", "--address", "http://127.0.0.1.example.org:1"], TOKEN, "in the clear"),
        (["--store", "/s", "--address", "10.0.0.7:8265"], TOKEN, "must be like http://"),
    ],
)
def test_what_cannot_be_submitted_is_refused_in_one_sentence(
    arguments: list[str], token: str | None, sentence: str
) -> None:
    assert sentence in refused(token, "embedded", *arguments)


def test_an_option_that_run_does_not_know_is_refused_here() -> None:
    asked = ["submit", "embedded", "--store", "/shared/store", "--", "--worker", "2"]
    result = CliRunner(env={"RAY_AUTH_TOKEN": TOKEN}).invoke(app, asked)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such option: --worker" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("model: tiny-meissonic", "path: checkpoint", "must be absolute, and there on every node"),
        ("texts/prompts.txt", "../prompts.txt", "must lie beside the study or below it"),
        ("tiny-meissonic", "tiny-meisonic", "did you mean 'tiny-meissonic'"),
    ],
)
def test_a_study_that_would_fail_there_is_refused_here(
    study: Path, old: str, new: str, sentence: str
) -> None:
    (study.parent.parent / "prompts.txt").write_text(PROMPTS)
    study.write_text(STUDY.replace(old, new))
    assert sentence in refused(TOKEN, study, "--store", "/shared/store")
