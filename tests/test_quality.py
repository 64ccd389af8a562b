"""Lint, format and types: part of the suite, so that one command checks everything."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ["samplers", "evaluators", "platform", "dashboards"]


def check(*command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_finds_nothing_to_mend() -> None:
    check("ruff", "check", "--no-fix", *FOLDERS, "tests")


def test_ruff_would_not_reformat_anything() -> None:
    check("ruff", "format", "--check", *FOLDERS, "tests")


def link_import_tree(tree: Path) -> None:
    """Link the folders below `tree/bakeoff`, where mypy finds them under their import names."""
    tree.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        link = tree / folder
        if not link.is_symlink():
            link.symlink_to(ROOT / folder, target_is_directory=True)


def test_mypy_finds_no_type_errors() -> None:
    link_import_tree(ROOT / ".mypy_cache/tree/bakeoff")
    check("mypy")
