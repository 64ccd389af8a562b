"""The house's one-way imports, declared libraries, and no code that runs what it reads."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["samplers", "evaluators", "platform", "dashboards"]
ENGINES = {"ray", "pyarrow", "duckdb", "streamlit"}
# What a layer may not import: layers above or beside it, and libraries that are not its business.
FORBIDDEN = {
    "samplers": {f"bakeoff.{layer}" for layer in ["evaluators", "platform", "dashboards"]}
    | ENGINES,
    "evaluators": {f"bakeoff.{layer}" for layer in ["samplers", "platform", "dashboards"]}
    | ENGINES,
    "platform": {"bakeoff.dashboards"},
    "dashboards": set(),
}
OPTIONAL = {"pynvml": ["nvidia-ml-py"]}  # extras that need not be installed where tests run
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
HARMLESS_NAMES = {"pickle.UnpicklingError"}  # what weights_only=True raises
UNPICKLING_CALLS = {"torch.load", "torch.serialization.load"}
UNSAFE_CALLS = {
    *("eval", "exec", "builtins.eval", "builtins.exec"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "torch.jit.load"),
}


def source_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported_names(tree: ast.Module, package: str) -> dict[str, str]:
    """Map each name that an import binds, anywhere in the file, to the full name behind it."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            names |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return names


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def wrong_imports(source: str, package: str) -> list[str]:
    """Return what a module of `package` (as in `bakeoff.samplers.tiny`) may not import but does."""
    layer = package.split(".")[1]
    names = imported_names(ast.parse(source), package).values()
    return [name for name in names if any(is_below(name, bad) for bad in FORBIDDEN[layer])]


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return the dotted name of an expression with its imports resolved, or '' if it has none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (base := full_name(node.value, names)):
        return f"{base}.{node.attr}"
    return ""


def keyword_is(call: ast.Call, name: str, value: bool) -> bool:
    return any(
        keyword.arg == name
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is value
        for keyword in call.keywords
    )


def unsafe_calls(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = full_name(call.func, names)
        if name in UNSAFE_CALLS:
            yield name
        if name in UNPICKLING_CALLS and not keyword_is(call, "weights_only", True):
            yield f"{name} without weights_only=True"
        if name == "numpy.load" and any(key.arg == "allow_pickle" for key in call.keywords):
            yield "numpy.load with allow_pickle"
        trusts = any(key.arg == "trust_remote_code" for key in call.keywords)
        if trusts and not keyword_is(call, "trust_remote_code", False):
            yield "trust_remote_code"


def unsafe_uses(source: str) -> list[str]:
    """Return every way in which the source could run code out of the data it reads."""
    tree = ast.parse(source)
    names = imported_names(tree, "tests")
    modules = {name for name in names.values() if name.split(".")[0] in UNSAFE_MODULES}
    return [*(modules - HARMLESS_NAMES), *unsafe_calls(tree, names)]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    found = {}
    for path in source_files(layer):
        package = ".".join(["bakeoff", *path.parent.relative_to(ROOT).parts])
        found[str(path)] = wrong_imports(path.read_text(), package)
    assert found, f"no module below {layer}/"
    assert not {path: names for path, names in found.items() if names}


def declared_libraries() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return {re.split(r"[^\w.-]", line)[0].lower() for lines in lists for line in lines}


def test_every_imported_library_is_declared() -> None:
    found = set()
    for path in source_files(*LAYERS):
        package = ".".join(["bakeoff", *path.parent.relative_to(ROOT).parts])
        names = imported_names(ast.parse(path.read_text()), package).values()
        found |= {name.split(".")[0] for name in names}
    outside = found - sys.stdlib_module_names - {"bakeoff"}
    distributions = {**OPTIONAL, **packages_distributions()}
    assert "torch" in outside
    missing = {
        name
        for name in outside
        if not {dist.lower() for dist in distributions.get(name, [])} & declared_libraries()
    }
    assert not missing


def test_no_module_runs_untrusted_data() -> None:
    found = {str(path): unsafe_uses(path.read_text()) for path in source_files(*LAYERS, "tests")}
    assert not {path: uses for path, uses in found.items() if uses}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("bakeoff.samplers", "from bakeoff.evaluators.metric import Metric"),
        ("bakeoff.samplers.tiny", "from bakeoff import platform"),
        ("bakeoff.samplers.tiny", "from ...evaluators import metric"),
        ("bakeoff.samplers", "def late():\n    import pyarrow.parquet as pq"),
        ("bakeoff.evaluators", "import bakeoff.samplers.recipe as r"),
        ("bakeoff.evaluators", "import ray"),
        ("bakeoff.platform", "from ..dashboards.app import main"),
        ("bakeoff.platform.cli", "import bakeoff.dashboards"),
    ],
)
def test_a_wrong_import_is_seen(package: str, source: str) -> None:
    assert wrong_imports(source, package)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("bakeoff.samplers.tiny", "from ..errors import InputError\nfrom . import world"),
        ("bakeoff.samplers", "import platform"),
        ("bakeoff.samplers", "import rayleigh"),
        ("bakeoff.platform", "import ray, duckdb\nfrom bakeoff.samplers.recipe import Recipe"),
    ],
)
def test_a_right_import_is_left_alone(package: str, source: str) -> None:
    assert not wrong_imports(source, package)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads as restore",
        "eval('1')",
        "exec(text)",
        "import yaml\nyaml.load(text)",
        "from yaml import unsafe_load as read\nread(text)",
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=False)",
        "from torch import load\nload(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_an_unsafe_use_is_seen(source: str) -> None:
    assert unsafe_uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "network.eval()",
        "from pickle import UnpicklingError",
        "import yaml\nyaml.safe_load(text)",
        "import torch\ntorch.load(path, weights_only=True)",
        "from safetensors.torch import load\nload(data)",
    ],
)
def test_a_safe_use_is_left_alone(source: str) -> None:
    assert not unsafe_uses(source)
