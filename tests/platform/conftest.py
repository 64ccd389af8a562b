"""Small random checkpoints in the official layouts, and studies on them."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakeoff.platform.studies.study import Study, read_study

STUDY = """
name: trial
benchmark: {name: shapes, limit: 1}
metrics: [composition]
models:
  - path: masked
    recipes:
      vanilla: steps=4 guidance_scale=2
      noise: {like: vanilla, noise: abs_cos(1)}
  - path: autoregressive
    recipes:
      vanilla: guidance_scale=2
"""


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `masked` and `autoregressive`, the embedded models before any training."""
    import torch

    from bakeoff.samplers.tiny.train.generators import TinyLlamaGen, TinyMeissonic
    from bakeoff.samplers.tiny.train.tokenizers import TinyLlamaGenVQ, TinyVQModel

    root = tmp_path_factory.mktemp("checkpoints")
    scratch = tmp_path_factory.mktemp("tokenizers")
    torch.manual_seed(0)
    TinyMeissonic(scratch / "clip").export(root / "masked")
    TinyVQModel().export(root / "masked/vqvae")
    TinyLlamaGen(scratch / "t5").export(root / "autoregressive")
    TinyLlamaGenVQ().export(root / "autoregressive/vq")
    return root


@pytest.fixture(scope="session")
def study_text() -> str:
    """The YAML of `trial`, to be extended; more recipes join its last model."""
    return STUDY


@pytest.fixture(scope="session")
def study_of(checkpoints: Path) -> Callable[[str], Study]:
    """Read a study whose paths start at the checkpoints."""
    return lambda text: read_study(text, source="study.yaml", folder=checkpoints)


@pytest.fixture(scope="session")
def trial(study_of: Callable[[str], Study]) -> Study:
    """Two masked entries and an autoregressive one, 6 prompts each."""
    return study_of(STUDY)


@pytest.fixture(scope="session")
def undisturbed(trial: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `trial`, made without Ray; not to be written into."""
    from tests.trials import bare_run

    place = tmp_path_factory.mktemp("stores") / "undisturbed"
    bare_run(trial, place)
    return place


@pytest.fixture
def no_ray() -> Iterator[None]:
    """Runs of a test do their work in this process."""
    from tests.trials import without_ray

    with without_ray():
        yield


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray on a node of this machine, for a module: starting it costs seconds."""
    import ray

    import bakeoff.platform.execution.execution  # noqa: F401 # sets what Ray reads when it is imported

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=80_000_000,  # bytes, the least that Ray takes
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()
