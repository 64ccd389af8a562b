"""What a run and its profiles say of where they come from."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.platform.provenance import gpu_driver
from bakeoff.platform.run import carry_out, prepare
from bakeoff.platform.store import Store
from bakeoff.platform.study import Study

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build  (builder)\n"
COMPILER = "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"


@pytest.mark.parametrize(
    ("text", "version"),
    [(CLOSED, "535.104.05"), (OPEN, "570.86"), ("", None), ("something else 1.2\n", None)],
)
def test_the_driver_of_the_gpus_is_read_from_the_kernel(
    tmp_path: Path, text: str, version: str | None
) -> None:
    file = tmp_path / "version"
    file.write_text(text + COMPILER)
    assert gpu_driver(file) == version
    assert gpu_driver(tmp_path / "absent") is None


def test_a_run_names_the_hash_of_every_file_of_its_models(
    study_of: Callable[[str], Study], checkpoints: Path, tmp_path: Path
) -> None:
    """A run of one image, so that a worker's profile is there too."""
    text = "name: one\nprompts: [a red circle]\nmetrics: [clip_score]\n"
    study = study_of(text + "models: [{path: masked, recipes: {vanilla: steps=2}}]\n")
    store = Store(tmp_path / "store")
    carry_out(prepare(study, store, 1), 1, lambda progress: None)
    (run,) = store.read("runs", ["files"]).to_pylist()
    encoder = checkpoints / "masked/text_encoder/model.safetensors"
    digest = hashlib.sha256(encoder.read_bytes()).hexdigest()
    assert dict(run["files"])["masked/text_encoder/model.safetensors"] == digest
    assert all(name.startswith("masked/") for name, _ in run["files"])
    rows = store.read("profiles", ["stage", "driver", "peak_allocated_bytes"]).to_pylist()
    assert {row["stage"] for row in rows} >= {"text", "network", "decode", "score"}
    assert {(row["driver"], row["peak_allocated_bytes"]) for row in rows} == {(gpu_driver(), None)}
