"""Where a run's numbers come from: versions, revision, driver, and the study as it was."""

import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import platform, python_version
from typing import Any
from uuid import uuid4

import torch

from bakeoff.samplers.plugins import packages

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")  # there on Linux while the driver is loaded
LIBRARIES = (
    "bakeoff",
    # pictures
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "ftfy",
    "beautifulsoup4",
    # scores
    "torchvision",
    "torchmetrics",
    "clean-fid",
    "scipy",
    # how they come and stay
    "pyarrow",
    "ray",
)


def new_run_id(started: datetime) -> str:
    """Return a name for a run that sorts by its start."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"


def versions() -> Mapping[str, str]:
    """Return the versions of Python, the system and the libraries that shape samples and scores.

    Those of other packages that add models, metrics or benchmarks are among them.
    """
    libraries = packages() | {name: version(name) for name in LIBRARIES}
    cuda = torch.version.cuda or "none"  # that torch was built for
    return {"python": python_version(), "system": platform(), "cuda": cuda, **libraries}


def gpu_driver(file: Path = NVIDIA_DRIVER) -> str | None:
    """Return the version of the GPU driver of this machine; None without one."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return found[1] if found else None


def git_revision() -> str | None:
    """Return the revision of the checkout that this code runs from, `-dirty` if it was changed.

    None for an installed package, also when its environment lies inside some other repository.
    """
    folder = Path(__file__).resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def run_row(started: datetime, run_id: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the table `runs`; `facts` are what the run itself knows."""
    return {
        "run_id": run_id,
        "started": started,
        "versions": list(versions().items()),
        "git_revision": git_revision(),
        **facts,
    }
