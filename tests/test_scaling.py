"""The arithmetic of docs/scaling.md is run: what it says it prints, it prints."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs/scaling.md").read_text()


def test_the_page_prints_what_its_arithmetic_gives() -> None:
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(pairs) == 2
    names: dict[str, Any] = {}
    for code, shown in pairs:
        with redirect_stdout(StringIO()) as printed:
            exec(code, names)
        assert printed.getvalue() == shown
