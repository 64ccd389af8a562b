"""Damage of every kind is recognised, told in one sentence, and mended or left untouched."""

import ctypes
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from bakeoff.evaluators.metric import Metric
from bakeoff.platform.cli import app
from bakeoff.platform.execution import rescore as rescoring
from bakeoff.platform.execution.heartbeat import ALIVE_FILE, beating
from bakeoff.platform.execution.progress import Lack, lacks
from bakeoff.platform.execution.rescore import Drift, rescore
from bakeoff.platform.store import verify as verifying
from bakeoff.platform.store.pictures import decode_png, encode_png
from bakeoff.platform.store.schemas import FORMAT_VERSION, SAMPLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from bakeoff.platform.studies.metrics import build_metric
from bakeoff.samplers.errors import InputError
from tests.small_store import SmallStore

NOBODY = 65534
SAMPLES_PART = "samples/part-one.parquet"
SCORES_PART = "scores/metric=composition/part-one.parquet"


def fill(path: Path) -> Path:
    """Write a sound store of four samples in two parts."""
    small = SmallStore(path)
    small.run(4)
    small.shard("one", [0, 1])
    small.shard("two", [2, 3])
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return fill(tmp_path / "store")


def tree(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(one) for one in arguments])


def rewrite(part: Path, change: Callable[[list[dict]], object]) -> None:
    """Change the rows of a part of samples as an honest writer would not."""
    rows = pq.read_table(part, partitioning=None).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES), part)


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])


def empty(part: Path) -> None:
    part.write_bytes(b"")


def without_footer(part: Path) -> None:
    content = part.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    part.write_bytes(content[:-footer] + b"PAR1")


def broken_behind_the_footer(part: Path) -> None:
    content = bytearray(part.read_bytes())
    content[4:200] = bytes(196)
    part.write_bytes(content)


def of_other_columns(part: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), part)


def of_another_identity(part: Path) -> None:
    rewrite(part, lambda rows: rows[1].update(prompt="another prompt"))


def of_other_pixels(part: Path) -> None:
    grey = encode_png(np.full((8, 8, 3), 128, np.uint8))
    rewrite(part, lambda rows: rows[1]["image"].update(bytes=grey))


def of_no_picture(part: Path) -> None:
    rewrite(part, lambda rows: rows[0]["image"].update(bytes=b"%!PS-Adobe-3.0 EPSF-3.0"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (truncate, "is damaged or half written"),
        (empty, "is damaged or half written"),
        (without_footer, "is damaged or half written"),
        (broken_behind_the_footer, "is damaged or half written"),
        (of_other_columns, "is a foreign part: its columns are not those of the table samples"),
        (of_another_identity, "that by what made it is"),
        (of_other_pixels, "holds a picture of other pixels than its hash says"),
        (of_no_picture, "holds a picture that cannot be read"),
    ],
)
def test_a_broken_part_is_put_aside_and_its_rows_are_missing(
    place: Path, damage: Callable[[Path], None], problem: str
) -> None:
    damage(place / SAMPLES_PART)
    before = tree(place)
    finding, orphaned = verify(place).findings
    assert (finding.file, finding.action) == (SAMPLES_PART, "moved")
    assert problem in finding.problem and "\n" not in str(finding)
    assert orphaned.file == SCORES_PART
    moved = {f"quarantine/{part}": before.pop(part) for part in (SAMPLES_PART, SCORES_PART)}
    assert tree(place) == before | moved
    assert lacks(Store.open(place)) == [Lack("small", planned=4, samples=2, scores=2)]
    assert verify(place).is_sound


def test_scores_and_traces_of_samples_that_are_gone_are_put_aside(place: Path) -> None:
    """Made again, on another machine, the samples may come out with other pixels."""
    traced = [SmallStore(place).sample(n)["sample_id"] for n in range(4)]
    for name, ids in {"one": traced[:2], "two": traced[2:]}.items():
        rows = [{"sample_id": one, "place": step} for one in ids for step in range(3)]
        Store(place).write("traces", name, rows)
    assert verify(place).is_sound
    (place / SAMPLES_PART).unlink()
    verdict = verify(place)
    assert [str(finding) for finding in verdict.findings] == [
        f"{SCORES_PART} holds scores of 2 samples that are not stored: moved to "
        f"quarantine/{SCORES_PART}; the next run makes its rows again",
        "traces/part-one.parquet holds traces of 2 samples that are not stored: moved to "
        "quarantine/traces/part-one.parquet; the next run makes its rows again",
    ]
    assert [verdict.rows[table] for table in ("samples", "scores", "traces")] == [2, 2, 6]
    assert verify(place).is_sound


def test_what_is_told_of_missing_samples_stays_while_a_run_writes(place: Path) -> None:
    Store(place).write("traces", "early", [{"sample_id": "f" * 32, "place": 0}])
    with beating(place, "run-2", every_seconds=0.1):
        assert verify(place).is_sound
        empty(place / SAMPLES_PART)
        _, later = verify(place).findings
    assert str(later) == (
        "scores may be of samples that were put aside: left, for a run may be writing the store; "
        "verify again after its end"
    )
    assert (place / SCORES_PART).exists()
    found = {finding.file for finding in verify(place).findings}
    assert found == {SCORES_PART, "traces/part-early.parquet"}


def test_a_run_cannot_begin_while_orphans_are_put_aside(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, signs, look = list[bool](), place / ALIVE_FILE, verifying.orphans
    monkeypatch.setattr(
        verifying, "orphans", lambda store: seen.append(signs.exists()) or look(store)
    )
    assert verify(place).is_sound and seen == [False]  # a sound store is not written to
    (place / SAMPLES_PART).unlink()
    assert not verify(place).is_sound and seen == [False, False, True] and not signs.exists()


def test_a_row_that_is_stored_twice_goes_with_its_part(place: Path) -> None:
    SmallStore(place).shard("zero", [1, 2])  # of parts `one` and `two`
    found = [str(finding).partition(":")[0] for finding in verify(place).findings]
    assert found == [
        "samples/part-zero.parquet holds 2 rows that are stored already",
        "scores/metric=composition/part-zero.parquet holds 2 rows that are stored already",
    ]
    assert lacks(Store.open(place)) == []


def test_a_vote_is_for_one_side_or_neither_and_counts_once(place: Path) -> None:
    for name, result in {"fair": 0.5, "heavy": 7.0, "none": None}.items():
        SmallStore(place).vote(name, 0, 1, result)
    again = place / "votes/part-later.parquet"
    again.write_bytes((place / "votes/part-fair.parquet").read_bytes())
    found = {finding.file: finding for finding in verify(place).findings}
    assert found.keys() == {f"votes/part-{name}.parquet" for name in ("heavy", "none", "later")}
    assert "result 7.0, which is none of" in found["votes/part-heavy.parquet"].problem
    assert "no run makes votes again" in found["votes/part-heavy.parquet"].told
    assert verify(place).rows["votes"] == 1


def test_a_row_twice_in_one_part_is_found(place: Path) -> None:
    rewrite(place / SAMPLES_PART, lambda rows: rows.append(rows[0]))
    finding, _ = verify(place).findings
    assert "holds 1 rows that are stored already" in finding.problem


def test_scores_in_another_metrics_folder_are_put_aside(place: Path) -> None:
    other = place / "scores/metric=clip_score/part-one.parquet"
    other.parent.mkdir()
    (place / SCORES_PART).rename(other)
    (finding,) = verify(place).findings
    assert "holds scores of metric=composition, not those of its folder" in finding.problem
    assert lacks(Store.open(place)) == [Lack("small", planned=4, samples=0, scores=2)]


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("samples/notes.txt", "is no part of a store"),
        ("traces", "stands in place of the table traces"),
    ],
)
def test_a_foreign_file_is_told_and_left_alone(place: Path, file: str, problem: str) -> None:
    (place / file).write_text("mine")
    before = tree(place)
    (finding,) = verify(place).findings
    assert str(finding) == f"{file} {problem}: left alone; move it away, then verify again"
    assert tree(place) == before


def test_half_a_rename_is_removed_once_nobody_can_be_writing(place: Path) -> None:
    old, young = (place / f"samples/part-{n}.parquet.unfinished-0" for n in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"PAR1")
    os.utime(old, (0, 0))
    verdict = verify(place)
    assert [str(finding) for finding in verdict.findings] == [
        "samples/part-old.parquet.unfinished-0 is unfinished: removed, for its writer was killed",
        "samples/part-young.parquet.unfinished-0 is unfinished: left, for somebody may be "
        "writing it",
    ]
    assert not verdict.is_sound and young.exists() and not old.exists()
    assert verify(place).is_sound


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (json.dumps({"version": FORMAT_VERSION + 1}), f"format version {FORMAT_VERSION + 1}"),
        ("{", "unreadable format.json"),
    ],
)
def test_a_store_of_the_future_is_refused_and_left_untouched(
    place: Path, content: str, problem: str
) -> None:
    empty(place / SAMPLES_PART)
    (place / "format.json").write_text(content)
    before = tree(place)
    with pytest.raises(InputError, match=problem):
        verify(place)
    assert tree(place) == before
    assert invoke("verify", place).exit_code == 2


@contextmanager
def as_nobody() -> Iterator[None]:
    """Touch files without a superuser's rights, so that a read-only folder is one."""
    libc = ctypes.CDLL(None)
    libc.setfsuid(NOBODY)
    try:
        yield
    finally:
        libc.setfsuid(os.geteuid())


def test_a_read_only_store_is_told_and_left_untouched() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others
        Path(folder).chmod(0o755)
        place = fill(Path(folder) / "store")
        empty(place / SAMPLES_PART)
        before = tree(place)
        folders = [place, *(one for one in place.rglob("*") if one.is_dir())]
        for one in folders:
            one.chmod(stat.S_IREAD | stat.S_IEXEC | 0o055)
        with as_nobody():
            (finding,) = verify(place).findings
            with pytest.raises(InputError, match="cannot be written"):
                Store(place).claimed("me")
        for one in folders:
            one.chmod(0o755)
        assert finding.action == "left"
        assert finding.told == "left where it is, for it cannot be moved (Permission denied)"
        assert tree(place) == before


def test_evidence_of_an_earlier_time_is_kept(place: Path) -> None:
    for _ in range(2):
        empty(place / SAMPLES_PART)
        verify(place)
    assert sorted(file.name for file in (place / "quarantine/samples").iterdir()) == [
        "part-one.parquet",
        "part-one.parquet.2",
    ]


def test_the_command_tells_what_it_found_and_what_the_next_run_makes(place: Path) -> None:
    sound = invoke("verify", place)
    assert sound.exit_code == 0 and "4 samples, 4 scores, 1 runs" in sound.stdout
    of_other_pixels(place / SAMPLES_PART)
    found = invoke("verify", place)
    text = " ".join(found.stdout.split())
    assert found.exit_code == 1 and found.stderr == ""
    assert "moved to quarantine/samples/part-one.parquet" in text
    assert "Study small lacks 2 of 4 samples and 2 scores: the next run of it" in text
    assert invoke("verify", place).exit_code == 0  # not whole, as in mid-run, and sound


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = invoke("verify", tmp_path / "absent")
    assert result.exit_code == 2 and "does not exist" in result.stderr


def score_pictures(place: Path, change: float = 0.0, version: str | None = None) -> None:
    """Store the CLIP score of every picture of two runs, one of them noted as made on a GPU."""
    store, metric = Store(place), build_metric("clip_score")
    rows = store.read("samples", ["sample_id", "prompt", "image"]).to_pylist()
    for place_of, row in enumerate(rows):
        pixels = decode_png(row["image"]["bytes"])
        value = metric.score(pixels[None], [row["prompt"]], [None])[0] + change
        head = {"shard_id": f"clip-{place_of}", "run_id": "run-1"}
        known = {"metric": "clip_score", "metric_version": version or metric.info.version}
        score = {**head, **known, "sample_id": row["sample_id"], "value": value}
        store.write("scores", head["shard_id"], [score])
        if place_of:
            device = {"stage": "score", "device": "NVIDIA L40S"}
            store.write("profiles", head["shard_id"], [{**head, **device}])


def clip_drifts(place: Path, samples: int) -> dict[str, Drift]:
    drifts = rescore(Store.open(place), samples)
    return {one.stored_device: one for one in drifts if one.metric == "clip_score"}


def test_scores_that_come_out_again_are_no_drift(place: Path) -> None:
    score_pictures(place)
    drifts = clip_drifts(place, 100)
    assert {device: drift.differences for device, drift in drifts.items()} == {
        "unknown": (0.0,),
        "NVIDIA L40S": (0.0, 0.0, 0.0),
    }
    assert not any(drift.is_drift for drift in drifts.values())


def test_other_scores_of_the_same_version_are_drift_and_of_another_are_told(place: Path) -> None:
    score_pictures(place, change=0.25)
    gpu = clip_drifts(place, 100)["NVIDIA L40S"]
    assert gpu.is_drift and gpu.differences == pytest.approx((0.25,) * 3)
    result = invoke("verify", place, "--rescore", "100")
    text = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert "scored on NVIDIA L40S, again on cpu: 0 of 3 equal, largest difference 0.25" in text
    score_pictures(place, change=0.25, version="0")
    assert not any(drift.is_drift for drift in clip_drifts(place, 100).values())


def test_no_number_where_one_is_stored_is_drift(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_nan(name: str, device: str) -> Metric:
        metric = build_metric(name, device)
        monkeypatch.setattr(metric, "score", lambda *_: np.array([np.nan]))
        return metric

    score_pictures(place)
    monkeypatch.setattr(rescoring, "build_metric", gives_nan)
    drift = clip_drifts(place, 100)["NVIDIA L40S"]
    assert drift.is_drift and drift.differences == (np.inf,) * 3
    score_pictures(place, change=np.nan)
    drift = clip_drifts(place, 100)["NVIDIA L40S"]
    assert not drift.is_drift and drift.differences == (0.0,) * 3


def test_the_same_samples_are_drawn_every_time(place: Path) -> None:
    score_pictures(place)
    first, second = clip_drifts(place, 2), clip_drifts(place, 2)
    assert first == second and sum(len(one.differences) for one in first.values()) == 2


def test_a_score_that_cannot_be_made_here_is_counted(place: Path) -> None:
    """The prompts of this store expect nothing, which composition needs."""
    (drift,) = rescore(Store.open(place), 4)
    assert (drift.metric, drift.failed, drift.differences) == ("composition", 4, ())
