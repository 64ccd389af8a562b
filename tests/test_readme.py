"""What the README tells a newcomer to type and to open exists."""

import re
import shlex
from pathlib import Path

from typer.main import get_command

from bakeoff.platform.cli import app
from bakeoff.platform.studies.study import read_study

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


def test_every_command_of_the_console_examples_can_be_read() -> None:
    lines = [line for block in code_blocks("console") for line in block.splitlines()]
    assert len(lines) >= 3
    for line in lines:
        program, verb, *arguments = shlex.split(line)
        command = get_command(app).commands[verb]
        command.make_context(program, arguments)  # reads the arguments, and runs nothing


def test_the_example_is_a_valid_study() -> None:
    (example,) = code_blocks("yaml")
    study = read_study(example, source="README.md", folder=ROOT)
    assert len(study.entries) == 10
    assert [entry.name for entry in study.entries if entry.baseline] == ["tiny-meissonic/vanilla"]
