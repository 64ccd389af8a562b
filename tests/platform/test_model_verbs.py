"""`bakeoff models`, `fetch` and `convert`, and a study that names a model which is not here."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.samplers.models import MODELS
from tests.hub_server import Hub, serve

CHECKPOINT = Path(__file__).parents[1] / "golden/meissonic/ckpt_plain"
REPOSITORY, NAME = "Collov-Labs/Monetico", "meissonic-512"
FIRST, LAST = "transformer/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
SCRIPT = "from bakeoff.platform.cli import app; app(prog_name='bakeoff')"
STUDY = f"""
name: small
prompts: [a dog]
metrics: [clip_score]
models:
  - model: {NAME}
    recipes: {{vanilla: }}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {file.relative_to(CHECKPOINT).as_posix(): file.read_bytes()
             for file in CHECKPOINT.rglob("*") if file.is_file()}  # fmt: skip
    with serve({REPOSITORY: files}) as hub:
        yield hub


def invoke(*arguments: str | Path, columns: int = 100) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns)})
    return runner.invoke(app, [str(one) for one in arguments])


def start(home: Path, hub: Hub, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command with the hub and caches of a test."""
    environment = dict(os.environ) | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        env=environment | {"COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("bakeoff: ")


def test_a_killed_fetch_goes_on_and_its_model_is_one_of_a_study(home: Path, hub: Hub) -> None:
    study = home / "study.yaml"
    study.write_text(STUDY)
    store = home / "store"
    told = refusal(invoke("run", study, "--store", store))
    assert told == (
        f"model '{NAME}' is not downloaded: `bakeoff fetch {NAME}` gets it (about 6 GB)"
    )
    hub.held[LAST] = threading.Event()
    killed = start(home, hub, "fetch", NAME)
    deadline = time.monotonic() + 120
    while not hub.downloads(LAST) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert "is not downloaded" in refusal(invoke("run", study, "--store", store))
    hub.held.pop(LAST).set()
    fetched = start(home, hub, "fetch", NAME)
    output, errors = fetched.communicate(timeout=120)
    assert fetched.returncode == 0, errors
    assert f"{NAME}: 10 files" in output and f"{REPOSITORY} at {hub.commit[:12]}" in output
    assert len(hub.downloads(FIRST)) == 1 and len(hub.downloads(LAST)) == 2
    result = invoke("run", study, "--store", store, "--dry-run")
    assert result.exit_code == 0 and "1 to make" in result.stdout, result.output
    (told,) = json.loads(invoke("models", NAME, "--json").stdout)
    assert told["state"] == "here" and len(told["files"]) == 10


def test_a_fetch_without_a_network_is_told_by_the_real_process(home: Path, hub: Hub) -> None:
    hub.url = "http://127.0.0.1:9"  # where nothing listens
    process = start(home, hub, "fetch", NAME)
    output, errors = process.communicate(timeout=120)
    (line,) = errors.splitlines()
    assert (process.returncode, output) == (2, "")
    assert line.startswith("bakeoff: http://127.0.0.1:9 does not answer (")


def test_a_local_copy_is_taken(home: Path) -> None:
    result = invoke("fetch", NAME, "--from", CHECKPOINT)
    assert result.exit_code == 0 and "a local copy" in result.stdout
    assert invoke("fetch", NAME).exit_code == 0  # it is here, and nothing is asked for


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fetch", "meissonic-1025"], "model 'meissonic-1025' is unknown; did you mean"),
        (["fetch", "tiny-meissonic"], "ships with Bakeoff: there is nothing to fetch"),
        (["fetch", NAME, "--from", "absent"], "folder 'absent' does not exist"),
        (["models", "meissonic-1025"], "did you mean 'meissonic-1024'?"),
        (["convert", "absent.pt"], "absent.pt: there are no weights to convert here"),
    ],
)
def test_what_is_not_there_is_refused(home: Path, arguments: list[str], told: str) -> None:
    assert told in refusal(invoke(*arguments))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_of_models_has_every_fact_at_any_width(home: Path, columns: int) -> None:
    result = invoke("models", columns=columns)
    assert result.exit_code == 0
    assert all(len(line) <= columns for line in result.stdout.splitlines())
    for name, entry in MODELS.items():
        assert f"{name} " in result.stdout
        assert entry.licence in result.stdout and str(entry.resolution) in result.stdout
    assert "to fetch" in result.stdout and "built in" in result.stdout


def test_one_model_is_told_with_its_recipe_its_sources_and_where_it_lies(home: Path) -> None:
    text = " ".join(invoke("models", "meissonic-1024", columns=200).stdout.split())
    for told in (
        "Meissonic, masked, 1024 × 1024 pixels",
        "steps=64 guidance_scale=9 negative_prompt=",
        "MeissonFlow/Meissonic",
        "revision unknown: the newest, whose commit is noted",
        "revision 1c2b8495b28150b8a4922ee1c8edee224c284c0c",
        str(home / "cache/bakeoff/models/meissonic-1024"),
    ):
        assert told in text


def test_converting_tells_what_became_of_each_file(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "c2i_B_256.pt")
    result = invoke("convert", tmp_path / "c2i_B_256.pt", columns=300)
    assert result.stdout.strip().endswith("c2i_B_256.safetensors")
    assert (tmp_path / "c2i_B_256.safetensors").exists()
