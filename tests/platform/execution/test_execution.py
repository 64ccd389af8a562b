"""Real Ray, real Parquet: however the work is cut, the store comes out the same."""

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from bakeoff.platform.execution.run import Result
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.study import Study
from tests.trials import bare_run, run, samples, scores

pytestmark = pytest.mark.usefixtures("ray_here")


@pytest.mark.parametrize("batch_size", [7, 32])
def test_batch_size_changes_no_token_and_no_pixel(
    trial: Study, undisturbed: Path, tmp_path: Path, batch_size: int
) -> None:
    bare_run(trial, tmp_path / "store", batch_size=batch_size)
    assert samples(tmp_path / "store") == samples(undisturbed)
    assert scores(tmp_path / "store") == scores(undisturbed)


def test_a_second_run_does_nothing(trial: Study, undisturbed: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in undisturbed.rglob("*.parquet")}
    assert run(trial, undisturbed, batch_size=5) == Result(made=0, failed=0)
    assert {f: f.stat().st_mtime_ns for f in undisturbed.rglob("*.parquet")} == before


def test_adding_a_recipe_runs_only_that_recipe(
    study_text: str, study_of: Callable[[str], Study], undisturbed: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(undisturbed, place)
    extended = study_text + "      cold: {like: vanilla, temperature: 0.5}\n"
    assert run(study_of(extended), place) == Result(made=6, failed=0)
    assert samples(undisturbed).items() <= samples(place).items()
    assert len(scores(place)) == 24


def traces(place: Path) -> dict[str, list[dict]]:
    """Return the trace of every sample that has one, as readers see it."""
    rows = Store(place).read("traces", ["sample_id"])["sample_id"].to_pylist()
    traced, views = set(rows), open_views(place)
    found = {sample: views.query("token_maps", sample_id=sample) for sample in traced}
    for rows in found.values():
        assert [row["place"] for row in rows] == list(range(len(rows)))
    return found


def ends(place: Path) -> dict[str, tuple[int, ...]]:
    """Return the tokens that every trace ends with."""
    return {sample: tuple(rows[-1]["tokens"]) for sample, rows in traces(place).items()}


@pytest.fixture(scope="module")
def traced_trial(study_text: str, study_of: Callable[[str], Study]) -> Study:
    """The same entries, a Z-sampling one more, with the steps of all."""
    turning = "      noise: {like: vanilla, noise: abs_cos(1)}\n"
    zigzag = "      zigzag: {like: vanilla, zigzag: masked}\n"
    assert turning in study_text
    return study_of(study_text.replace(turning, turning + zigzag) + "traces: true\n")


@pytest.fixture(scope="module")
def traced(traced_trial: Study, tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    place = tmp_path_factory.mktemp("stores") / "traced"
    assert run(traced_trial, place, workers=2) == Result(made=24, failed=0)
    return place


def test_traces_are_stored_with_their_samples_and_change_none(
    undisturbed: Path, traced: Path
) -> None:
    stored = samples(traced)
    assert samples(undisturbed).items() <= stored.items()
    assert ends(traced) == {sample: tokens for sample, (_, tokens) in stored.items()}
    steps = {tuple((row["step"], row["phase"]) for row in rows) for rows in traces(traced).values()}
    forward, back = "forward", "backtrack"
    turns = [(step, phase) for step in range(3) for phase in (forward, back, forward)]
    assert steps == {
        tuple((step, forward) for step in range(4)),
        (*turns, (3, forward)),
        tuple((position, forward) for position in range(64)),
    }
    for rows in traces(traced).values():
        assert rows[-1]["mask_ratio"] == 0.0 < rows[0]["mask_ratio"] < 1.0


def test_traces_asked_for_later_are_made_of_stored_samples_and_of_no_other_picture(
    traced_trial: Study, undisturbed: Path, traced: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(undisturbed, place)
    part = Store(place).parts("samples")[0]
    table = pq.read_table(part, partitioning=None)
    rows = table.to_pylist()
    rows[0]["tokens"][0] ^= 1  # as if another device had made it
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    before = {file: file.read_bytes() for file in (place / "samples").iterdir()}
    assert bare_run(traced_trial, place, batch_size=5) == Result(made=6, failed=1)
    other = rows[0]["sample_id"]
    assert traces(place) == {key: steps for key, steps in traces(traced).items() if key != other}
    assert {file: file.read_bytes() for file in before} == before
    assert scores(place) == scores(traced)
    (failure,) = Store(place).read("failures", ["sample_id", "stage", "message"]).to_pylist()
    assert (failure["sample_id"], failure["stage"]) == (other, "trace")
    assert "other tokens than the stored one" in failure["message"]


def test_every_sample_says_what_it_cost(traced: Path) -> None:
    columns = ["model", "recipe", "row_evaluations", "network_calls"]
    found = {tuple(row.values()) for row in Store(traced).read("samples", columns).to_pylist()}
    masked, plain = "masked", "steps=4 guidance_scale=2"
    assert found == {
        (masked, plain, 8, 4),
        (masked, f"{plain} noise=abs_cos(1)", 8, 4),
        (masked, f"{plain} zigzag=low_token_prob", 17, 10),
        ("autoregressive", "guidance_scale=2", 128, 64),
    }


def test_a_lost_part_is_all_that_is_made_again(
    trial: Study, undisturbed: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(undisturbed, place)
    lost = sorted((place / "samples").iterdir())[0]
    rows = pq.read_metadata(lost).num_rows  # which the pace of the run had a say in
    lost.unlink()
    assert bare_run(trial, place) == Result(made=rows, failed=0)
    assert samples(place) == samples(undisturbed)


def test_a_model_that_cannot_be_loaded_becomes_failures_and_the_rest_goes_on(
    study_text: str,
    study_of: Callable[[str], Study],
    checkpoints: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # files that were whole when the run looked at them, and are not when a worker does
    monkeypatch.setattr("bakeoff.platform.execution.run.check_files", lambda location: None)
    shutil.copytree(checkpoints / "masked", checkpoints / "broken", dirs_exist_ok=True)
    weights = checkpoints / "broken/transformer/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    place = tmp_path / "store"
    broken = study_text + "  - {path: broken, recipes: {vanilla: steps=4}}\n"
    assert bare_run(study_of(broken), place) == Result(made=18, failed=6)
    assert samples(place) == samples(undisturbed)
    failures = Store(place).read("failures", ["prompt", "message", "stage"]).to_pylist()
    assert len(failures) == 6
    assert all("diffusion_pytorch_model.safetensors" in row["message"] for row in failures)


def test_a_stored_picture_that_cannot_be_read_is_one_failure(
    study_text: str, study_of: Callable[[str], Study], undisturbed: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(undisturbed, place)
    part = Store(place).parts("samples")[0]
    table = pq.read_table(part, partitioning=None)
    rows = table.to_pylist()
    rows[0]["image"]["bytes"] = b"%!PS not a picture"
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    rescored = study_of(study_text.replace("[composition]", "[composition, clip_score]"))
    assert bare_run(rescored, place) == Result(made=0, failed=1)
    assert len(scores(place)) == 18 + 17


def test_a_run_with_nothing_to_do_leaves_a_live_one_its_claim(
    trial: Study, undisturbed: Path, tmp_path: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(undisturbed, place)
    live = Store(place).claimed("live")
    run(trial, place)
    live.write("runs", "live", Store(place).read("runs", ["run_id"]).to_pylist()[:1])


def test_platform_is_the_standard_library_in_workers() -> None:
    @ray.remote
    def platform_file() -> str:
        return str(platform.__file__)

    assert ray.get(platform_file.remote()) == platform.__file__
    assert "bakeoff" not in str(platform.__file__) and platform.system()
