"""The examples of docs/extending.md, installed and run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bakeoff.platform.store.store import Store

DOCUMENT = (Path(__file__).parents[1] / "docs/extending.md").read_text()
FILES = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {
    section.partition("\n")[0]: dict(FILES.findall(section))
    for section in DOCUMENT.split("\n## ")[1:]
}
PACKAGES = ("A model", "A metric", "A benchmark")
MOST_LINES = 40
STUDY = "study.yaml"


def run(*command: str | Path, cwd: Path, site: Path | None = None) -> str:
    environment = {**os.environ, "COLUMNS": "160", "PATH": f"{cwd}:{os.environ['PATH']}"}
    if site:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bakeoff(*arguments: str | Path, cwd: Path, site: Path) -> str:
    script = "from bakeoff.platform.cli import app; app(prog_name='bakeoff')"
    return run(sys.executable, "-c", script, *arguments, cwd=cwd, site=site)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the three packages."""
    root = tmp_path_factory.mktemp("packages")
    sources = []
    for section in PACKAGES:
        source = root / section.replace(" ", "-")
        for name, text in SECTIONS[section].items():
            if name != STUDY:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(text)
        sources.append(source)
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", "site"]
    run(sys.executable, "-m", "pip", "install", *options, *sources, cwd=root)
    return root / "site"


@pytest.mark.parametrize("section", SECTIONS)
def test_examples_are_whole_and_short(section: str) -> None:
    files = {name: text for name, text in SECTIONS[section].items() if name != STUDY}
    assert len(files) >= 2
    assert sum(len(text.splitlines()) for text in files.values()) <= MOST_LINES


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("models", ["stripes"]),
        ("metrics", ["brightness", "How bright the picture is."]),
        ("benchmarks", ["two-colors", "all (4 prompts)", "tasks: red, blue"]),
    ],
)
def test_what_the_packages_offer_is_listed(
    site: Path, tmp_path: Path, verb: str, told: list[str]
) -> None:
    listed = bakeoff(verb, cwd=tmp_path, site=site)
    assert all(text in listed for text in told) and "cannot be used" not in listed


def test_a_study_takes_all_three(site: Path, tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text(SECTIONS["A benchmark"][STUDY])
    bakeoff("run", STUDY, "--store", "store", "--workers", "1", cwd=tmp_path, site=site)
    store = Store.open(tmp_path / "store")
    samples = store.read("samples", ["model", "prompt", "pixel_hash", "row_evaluations"])
    stripes = [row for row in samples.to_pylist() if row["model"] == "stripes"]
    assert len(stripes) == 8 and {row["row_evaluations"] for row in stripes} == {1, 2}
    assert len({row["pixel_hash"] for row in stripes}) == 4  # of each prompt its own, by one seed
    scores = store.read("scores", ["metric", "value"]).to_pylist()
    assert [one["metric"] for one in scores].count("brightness") == 12
    assert all(0 <= one["value"] <= 1 for one in scores)
    (ran,) = store.read("runs", ["versions"]).to_pylist()
    versions = dict(ran["versions"])
    names = ("bakeoff-stripes", "bakeoff-brightness", "bakeoff-two-colors")
    assert [versions[name] for name in names] == ["1.0"] * 3
    again = bakeoff("run", STUDY, "--store", "store", cwd=tmp_path, site=site)
    assert "all there: nothing to do" in again


def test_a_folder_of_pictures_is_scored_and_compared(tmp_path: Path) -> None:
    for name, text in SECTIONS["Pictures that are made already"].items():
        (tmp_path / name).write_text(text)
    commands = {
        "python": 'exec {} "$@"',
        "bakeoff": "exec {} -c 'from bakeoff.platform.cli import app; app()' \"$@\"",
    }
    for name, script in commands.items():  # those of the environment that the tests run in
        (tmp_path / name).write_text("#!/bin/sh\n" + script.format(sys.executable) + "\n")
        (tmp_path / name).chmod(0o755)
    told = run("bash", "-e", "run.sh", cwd=tmp_path)
    assert "2 entries × 2 prompts = 4 images, 4 to do" in told
    assert "Study pictures: light/one-shade against dark/one-shade" in told
    assert Store.open(tmp_path / "bakeoff-store/pictures").count("scores") == 4
