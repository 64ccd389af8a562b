"""A small store for the pages: two models, a control, a hostile prompt, a gap."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from tests.store_writer import MISSING, StoreWriter

HOSTILE = "<script>document.title='broken in'</script> **bold** [x](javascript:alert(1)) $x$ "
PROMPTS = [f"{task}-{number}" for task in ("colors", "counting") for number in range(3)]
RESULTS = {
    "m/vanilla": [1, 0, 1, 0, 1, 1],
    "m/control": [0, 1, 1, 0, 1, 1],
    "n/vanilla": [0, 0, 1, 0, 0, MISSING],
}


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep snapshots of tests, and of the servers that they start, out of the user's cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


@pytest.fixture
def store(writer: StoreWriter) -> Path:
    return _filled(writer)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same store, for tests that only look."""
    return _filled(StoreWriter(tmp_path_factory.mktemp("shared") / "store"))


def _filled(writer: StoreWriter) -> Path:
    scores = {
        entry: {prompt: [value] for prompt, value in zip(PROMPTS, values, strict=True)}
        for entry, values in RESULTS.items()
    }
    writer.run(
        {"composition": scores},
        copies={"m/control": "m/vanilla"},
        batches={"m/vanilla": [(0.5, False), (0.25, True)]},
        prompts={"colors-0": HOSTILE + "word " * 2000},
    )
    return writer.path
