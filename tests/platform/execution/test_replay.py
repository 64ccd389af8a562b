"""A stored sample made again is the same, or it is said from where on it is not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bakeoff.platform.cli import app
from bakeoff.platform.execution.plan import Plan, Shard
from bakeoff.platform.execution.replay import Step, _location, replay
from bakeoff.platform.execution.sampling import SamplerStage, Workplace
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import MetricKey, Stored
from bakeoff.platform.studies.study import Study
from bakeoff.samplers.catalog import MODELS, weights_hash
from bakeoff.samplers.errors import InputError

METRICS = (MetricKey("composition", "1"),)
TRACED = """
name: traced
benchmark: {name: shapes, limit: 1}
metrics: [composition]
traces: true
models:
  - path: masked
    recipes:
      vanilla: steps=4 guidance_scale=2
"""


def make(study: Study, place: Path, images: int = 6) -> None:
    """Make the samples of a study as a worker does, so many at once."""
    store = Store(place)
    store.create()
    models = {entry.model.name: entry.model for entry in study.entries}
    hashes = {
        name: weights_hash(model.location, model.dtype, compiled=model.compiled)
        for name, model in models.items()
    }
    stage = SamplerStage(Workplace(store, "run", "cpu"))
    for shard in Plan(study, hashes, METRICS, Stored()).shards(lambda entry, lack: images):
        stage(_row(shard))


def _row(shard: Shard) -> dict:
    work = shard.to_json()
    return {"kind": "shard", "work": work, "part": "", "images": 6, "failed": 0, "stopped": ""}


@pytest.fixture(scope="module")
def traced(study_of: Callable[[str], Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("stores") / "traced"
    make(study_of(TRACED), place)
    return place


@pytest.fixture
def place(traced: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(traced, tmp_path / "store"))


def first_sample(place: Path) -> str:
    return Store(place).read("samples", ["sample_id"])["sample_id"][0].as_py()


def rewrite(place: Path, table: str, change: Callable[[dict], object]) -> None:
    for part in Store(place).parts(table):
        rows = pq.read_table(part, partitioning=None).to_pylist()
        for row in rows:
            change(row)
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[table]), part)


def told(place: Path, *options: str | Path) -> tuple[int, str]:
    arguments = ["replay", place, first_sample(place), *options]
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(one) for one in arguments])
    return result.exit_code, (result.stdout or result.stderr).splitlines()[0]


def test_a_sample_comes_out_the_same(place: Path, checkpoints: Path) -> None:
    found = replay(Store.open(place), first_sample(place), str(checkpoints / "masked"))
    assert found.same_pixels and found.largest_difference == 0
    assert (found.first_token, found.step, found.tokens) == (None, None, 64)
    sentence = (0, "Same pixels, same tokens (64)")
    assert told(place, "--model", checkpoints / "masked") == sentence


def test_half_precision_lies_beside_the_plain_and_is_replayed_in_its_own(
    study_of: Callable[[str], Study], place: Path, checkpoints: Path
) -> None:
    half = TRACED.replace("path: masked", "path: masked\n    dtype: bfloat16")
    again = "  - {path: masked, name: plain, recipes: {vanilla: steps=4 guidance_scale=2}}\n"
    # One worker for both dtypes; alone as in a replay, for bits of this grade may follow the batch.
    make(study_of(half + again), place, images=1)
    columns = ["sample_id", "dtype", "exactness", "weights_hash", "pixel_hash"]
    rows = Store(place).read("samples", columns).to_pylist()
    by_dtype = {row["dtype"]: row for row in rows}
    assert [row["dtype"] for row in rows].count("bfloat16") == 6
    assert len({row["sample_id"] for row in rows}) == len(rows) == 18
    assert {row["weights_hash"] for row in rows} == {
        weights_hash(checkpoints / "masked", dtype) for dtype in ("float32", "bfloat16")
    }
    assert by_dtype["bfloat16"]["exactness"] == "stream"
    assert by_dtype["float32"]["exactness"] == "exact"
    profiles = Store(place).read("profiles", ["stage", "dtype"]).to_pylist()
    assert {row["dtype"] for row in profiles} == {"float32", "bfloat16"}
    made = replay(Store.open(place), by_dtype["bfloat16"]["sample_id"], str(checkpoints / "masked"))
    assert made.same_pixels and made.stored_on.startswith("cpu, bfloat16")


def test_a_compiled_sample_is_made_again_compiled(place: Path, checkpoints: Path) -> None:
    row = {"weights_hash": weights_hash(checkpoints / "masked", compiled=True), "model": "masked"}
    location = str(checkpoints / "masked")
    assert _location(row, "s", location, "float32") == (location, True)


def test_other_tokens_are_told_from_the_first_on(place: Path, checkpoints: Path) -> None:
    def change(row: dict) -> None:
        row["tokens"][5] ^= 1
        row["tokens"][9] ^= 1
        row["pixel_hash"] = "other"

    rewrite(place, "samples", change)
    sentence = (1, "Differs from token 5 on: 2 of 64 tokens are others")
    assert told(place, "--model", checkpoints / "masked") == sentence


def test_the_step_is_told_where_there_is_a_trace(place: Path, checkpoints: Path) -> None:
    def change(row: dict) -> None:
        if row.get("place", 2) >= 2:  # from the third step to the end
            row["tokens"][7] ^= 1

    rewrite(place, "samples", change)
    rewrite(place, "traces", change)
    found = replay(Store.open(place), first_sample(place), str(checkpoints / "masked"))
    assert (found.first_token, found.step) == (7, Step(2, "forward"))


def test_other_pixels_of_the_same_tokens_are_told(place: Path, checkpoints: Path) -> None:
    rewrite(place, "samples", lambda row: row.update(pixel_hash="other"))
    sentence = (1, "Same tokens (64), other pixels: by up to 0 of 255")
    assert told(place, "--model", checkpoints / "masked") == sentence


def test_a_catalogue_model_is_found_by_its_weights(place: Path) -> None:
    name, entry = next(iter(MODELS.items()))
    rewrite(place, "samples", lambda row: row.update(weights_hash=weights_hash(entry.folder)))
    found = replay(Store.open(place), first_sample(place))
    assert name == "tiny-meissonic" and not found.same_pixels and found.first_token is not None


@pytest.mark.parametrize(
    ("change", "model", "sentence"),
    [
        ({}, None, "which no model of the catalogue has: give --model FOLDER"),
        ({}, "tiny-llamagen", "but those of --model 'tiny-llamagen' are"),
        ({}, "tiny-lamagen", "did you mean 'tiny-llamagen'?"),
        ({"recipe": None}, None, "cannot be made again: its recipe is not stored"),
        ({"recipe": "stops=4"}, None, "did you mean 'steps'?"),
        ({"dtype": "int3"}, None, "dtype must be float32 or bfloat16, got 'int3'"),
    ],
)
def test_what_cannot_be_made_again_is_refused(
    place: Path, change: dict, model: str | None, sentence: str
) -> None:
    rewrite(place, "samples", lambda row: row.update(change))
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
        replay(Store.open(place), first_sample(place), model)


def test_a_sample_that_is_not_stored_is_refused(place: Path) -> None:
    with pytest.raises(InputError, match="sample_id 'nothing' is not in store"):
        replay(Store.open(place), "nothing")
