"""What is on disk is what gets installed, and `platform/` never hides Python's own module."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ["samplers", "evaluators", "platform", "dashboards"]
STANDARD_PLATFORM = Path(sysconfig.get_path("stdlib"), "platform.py").resolve()
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.egg-info")
WEIGHTS_LIMIT_BYTES = 40_000_000


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this process's Python paths and return what it printed."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def modules_on_disk() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_folder_with_modules_is_a_declared_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    on_disk = {path.parent.relative_to(ROOT).as_posix() for path in modules_on_disk()}
    declared = {name.removeprefix("bakeoff.").replace(".", "/") for name in settings["packages"]}
    assert declared == on_disk


def test_platform_folders_have_no_init() -> None:
    assert not (ROOT / "platform/__init__.py").exists()
    assert not (ROOT / "tests/platform/__init__.py").exists()


def test_platform_is_the_standard_librarys_under_pytest() -> None:
    assert Path(platform.__file__).resolve() == STANDARD_PLATFORM


def test_platform_is_the_standard_librarys_in_a_process_started_at_the_root() -> None:
    printed = run(
        sys.executable,
        "-c",
        "import sys, platform; print(sys.path[0] + platform.__file__)",
        cwd=ROOT,
    )
    assert Path(printed.strip()).resolve() == STANDARD_PLATFORM  # and sys.path[0] is the root: ''


def test_platform_is_the_standard_librarys_when_pytest_runs_as_a_module() -> None:
    test = f"{__file__}::{test_platform_is_the_standard_librarys_under_pytest.__name__}"
    assert "1 passed" in run(sys.executable, "-m", "pytest", test, cwd=ROOT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built from a copy: leftovers in `build/` would get into it."""
    source = tmp_path_factory.mktemp("source")
    for name in ["pyproject.toml", "README.md", "LICENSE"]:
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=NOT_SHIPPED)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist"]
    run(sys.executable, "-m", "pip", "wheel", *options, ".", cwd=source)
    (built,) = (source / "dist").glob("bakeoff-*.whl")
    return built


def names_in(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_every_module(wheel: Path) -> None:
    expected = {f"bakeoff/{path.relative_to(ROOT).as_posix()}" for path in modules_on_disk()}
    assert {name for name in names_in(wheel) if name.endswith(".py")} == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "platform/studies/*.yaml",
        "platform/queries/sql/*.sql",
        "platform/report/*.html",
        "platform/report/*.css",
        "samplers/tiny/*.md",
        "samplers/tiny/weights/**/*.safetensors",
        "samplers/tiny/weights/**/*.json",
        "samplers/tiny/weights/**/*.txt",
    ],
)
def test_wheel_holds_the_data_files(wheel: Path, pattern: str) -> None:
    expected = {f"bakeoff/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob(pattern)}
    assert expected
    assert expected <= names_in(wheel)


def test_shipped_weights_stay_within_their_limit(wheel: Path) -> None:
    entries = zipfile.ZipFile(wheel).infolist()
    sizes_bytes = [entry.file_size for entry in entries if entry.filename.endswith(".safetensors")]
    assert 0 < sum(sizes_bytes) <= WEIGHTS_LIMIT_BYTES


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a new environment that holds the wheel and borrows the dependencies.

    A folder named in a `.pth` file is searched, but its own `.pth` files are not read: the editable
    install of this tree stays out of reach.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    binaries = home / "bin"
    pip: Sequence[str] = [sys.executable, "-m", "pip", "--python", str(binaries / "python")]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    (site_packages,) = home.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def test_installed_wheel_imports_itself_and_not_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    code = "import bakeoff; print(*bakeoff.__path__)"
    (found,) = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert Path(found).is_relative_to(installed.parent)


def test_installed_wheel_makes_an_image_from_its_own_weights(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "from bakeoff.samplers.catalog import MODELS, load_sampler\n"
        "for name in ('tiny-meissonic', 'tiny-llamagen'):\n"
        "    sampler = load_sampler(name)\n"
        "    made = sampler.generate(['a red circle'], [0], MODELS[name].recipe)\n"
        "    print(*made.images.shape)\n"
    )
    printed = run(installed / "python", "-c", code, cwd=tmp_path)
    assert printed.split("\n")[:2] == ["1 64 64 3"] * 2


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["benchmarks"], ["metrics"]])
def test_installed_command_works_from_an_empty_directory(
    installed: Path, tmp_path: Path, arguments: list[str]
) -> None:
    assert run(installed / "bakeoff", *arguments, cwd=tmp_path).strip()
    assert not any(tmp_path.iterdir())
