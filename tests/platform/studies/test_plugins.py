"""Metrics and benchmarks of other packages as studies and people meet them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakeoff.platform.studies.benchmarks import Benchmark, Prompt
from bakeoff.samplers.errors import InputError
from tests.packages import put

BROKEN = "import nothing_of_that_name"
CLAIMING = """
from bakeoff.evaluators.composition import Composition
from bakeoff.platform.studies.metrics import MetricEntry

other = MetricEntry(lambda device: Composition(None, None))
failing = MetricEntry(lambda device: {}["weights"])
"""


def bakeoff(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = "from bakeoff.platform.cli import app; app(prog_name='bakeoff')"
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages of which none is right."""
    site = tmp_path_factory.mktemp("site")
    put(site, "broken", BROKEN, metrics="m = m", benchmarks="b = b", samplers="s = s")
    put(site, "claiming", CLAIMING, metrics="other = other\nfailing = failing\ncomposition = x")
    return site


@pytest.mark.parametrize(
    ("verb", "own", "told"),
    [
        (
            "metrics",
            "clip_score",
            [
                "metric 'm' of package broken 1.0 cannot be imported (ModuleNotFoundError: ",
                "metric 'other' cannot be built: it calls itself 'composition'",
                "metric 'failing' cannot be built (KeyError: 'weights')",
                "metric 'composition' of package claiming 1.0 is left out",
            ],
        ),
        ("benchmarks", "shapes", ["benchmark 'b' of package broken 1.0 cannot be imported"]),
        ("models", "tiny-meissonic", ["model 's' of package broken 1.0 cannot be imported"]),
    ],
)
def test_lists_tell_what_is_broken_and_show_the_rest(
    broken: Path, verb: str, own: str, told: list[str]
) -> None:
    listed = bakeoff(broken, verb)
    assert listed.returncode == 0, listed.stderr
    assert own in listed.stdout.split()
    for sentence in told:
        assert sentence in listed.stdout


@pytest.mark.parametrize(
    ("study", "told"),
    [
        ("metrics: [m]", "metric 'm' of package broken 1.0 cannot be imported"),
        ("metrics: [k]", "metrics[0] 'k' is unknown"),
    ],
)
def test_a_study_that_names_what_is_broken_is_refused_in_one_line(
    broken: Path, tmp_path: Path, study: str, told: str
) -> None:
    file = tmp_path / "study.yaml"
    models = "models: [{model: tiny-meissonic, recipes: {vanilla: }}]"
    file.write_text(f"name: x\nprompts: [a dog]\n{study}\n{models}\n")
    refused = bakeoff(broken, "run", str(file), "--store", str(tmp_path / "store"))
    assert refused.returncode == 2 and refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert told in line


@pytest.mark.parametrize(
    ("prompts", "told"),
    [
        (lambda: [Prompt("a", "a dog", "t"), Prompt("a", "a cat", "t")], "prompt_id 'a' twice"),
        (lambda: ["a dog"], "must hold Prompts, got 'a dog'"),
        (
            lambda: Path("/nowhere/prompts.txt").read_text().split(),
            "has no prompts (FileNotFoundError: ",
        ),
    ],
)
def test_a_benchmark_that_gives_wrong_prompts_is_refused(prompts: object, told: str) -> None:
    benchmark = Benchmark("b", "", {"all": prompts}, has_expectations=False)  # type: ignore[dict-item]
    with pytest.raises(InputError, match="split 'all' of benchmark 'b'") as error:
        benchmark.prompts()
    assert told in str(error.value)
