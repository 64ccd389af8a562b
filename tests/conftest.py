"""Golden data for tests: `tests/golden`, or the folder that BAKEOFF_GOLDEN names.

A test that takes `golden` gets the folder; one that takes `golden_file` and is marked
`golden_files("meissonic/transformer_*")` runs once for each file that matches. Both have `golden`
in their ids, so that `BAKEOFF_GOLDEN=DIR pytest tests -k golden` runs them on any such folder.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

# As in a worker, and before torch is imported: bits depend on the number of threads.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from safetensors.torch import load_file
from torch import Tensor

GOLDEN = Path(os.environ.get("BAKEOFF_GOLDEN") or Path(__file__).parent / "golden").resolve()


@dataclass(frozen=True)
class GoldenFile:
    """Tensors of an official run and the description beside them."""

    path: Path  # of the .safetensors file

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path)

    @cached_property
    def description(self) -> dict[str, Any]:
        return json.loads(self.path.with_suffix(".json").read_text(encoding="utf-8"))

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def cases(self) -> list[str]:
        """Name the cases: `case0` of `case0.in.timestep`; none if inputs have no such prefix."""
        heads = (name.partition(".in.") for name in self.tensors)
        return sorted({case for case, separator, _ in heads if separator})

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below `prefix.`, named without it."""
        start = prefix + "."
        return {k.removeprefix(start): v for k, v in self.tensors.items() if k.startswith(start)}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden_files(*patterns): golden files a test runs on")
    if not GOLDEN.is_dir():
        raise pytest.UsageError(f"golden data: {str(GOLDEN)!r} is not a folder")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", [GOLDEN], ids=["golden"])
    if "golden_file" in metafunc.fixturenames:
        patterns = [p for m in metafunc.definition.iter_markers("golden_files") for p in m.args]
        found = sorted({f for p in patterns for f in GOLDEN.glob(p + ".safetensors")})
        names = [f"golden-{f.relative_to(GOLDEN).with_suffix('').as_posix()}" for f in found]
        metafunc.parametrize("golden_file", [GoldenFile(f) for f in found], ids=names)
