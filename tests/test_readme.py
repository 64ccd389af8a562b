"""What the README tells a newcomer to type and to open exists."""

import re
from pathlib import Path

from bakeoff.platform.study import read_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_test_line_of_the_readme() -> None:
    _, test_line = code_blocks("bash")[:2]
    assert test_line.strip() in (ROOT / ".ci/run").read_text().splitlines()


def test_both_commands_stand_at_the_top() -> None:
    top = README.partition("\n## ")[0]
    assert "bakeoff run" in top
    assert "pytest" in top


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_the_example_is_a_valid_study() -> None:
    (example,) = code_blocks("yaml")
    study = read_study(example, source="README.md", folder=ROOT)
    assert len(study.entries) == 10
    assert [entry.name for entry in study.entries if entry.baseline] == ["tiny-meissonic/vanilla"]
