"""The arithmetic of docs/scaling.md is run: what it says it prints, it prints."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs/scaling.md").read_text()


def test_the_page_prints_what_its_arithmetic_gives() -> None:
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(pairs) == 2
    code, shown = ("".join(part) for part in zip(*pairs, strict=True))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout == shown, printed.stderr
