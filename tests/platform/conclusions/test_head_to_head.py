"""`compare` and `gate`: two entries of a store, and one study in two stores."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bakeoff.evaluators.comparison import difference, pairs
from bakeoff.evaluators.statistics import win_rate
from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.regression import Limits, gate, growth
from bakeoff.platform.conclusions.two_stores import meetings_between
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError
from tests.store_writer import MISSING, StoreWriter

A, B = "m/a", "m/b"
PROMPTS = [f"{task}-{number}" for task in "xy" for number in range(40)]
NUMBERS = np.random.default_rng(5)
DIFFICULTY = NUMBERS.normal(0, 1, 80)
COST = {A: [(9.0, False), (0.5, True)], B: [(9.0, False), (0.5, True)]}


def written(folder: Path, *, loss: float = 0.0, noise: float = 0.1, **options: object) -> Path:
    """Write a store of two entries on prompts of one difficulty; `loss` is what entry b lost."""
    values = {
        A: DIFFICULTY + NUMBERS.normal(0, noise, 80),
        B: DIFFICULTY + 1 - loss + NUMBERS.normal(0, noise, 80),
    }
    scores = {
        e: {p: [float(v)] for p, v in zip(PROMPTS, o, strict=True)} for e, o in values.items()
    }
    StoreWriter(folder).run({"clip_score": scores}, **({"batches": COST} | options))
    return folder


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("gate") / "before")


def invoke(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(one) for one in arguments])


def states(store: Path, baseline: Path, *options: object) -> tuple[int, dict[str, str]]:
    result = invoke("gate", store, "--baseline", baseline, "--json", *options)
    found = json.loads(result.stdout)
    checks = {f"{c['entry']} {c['measure']}": c["state"] for c in found["checks"]}
    return result.exit_code, checks


def test_a_store_as_good_as_its_baseline_passes(before: Path, tmp_path: Path) -> None:
    after = written(tmp_path / "after")
    assert states(after, before, "--equivalent", 0.1) == (
        0,
        {"m/a clip_score": "passed", "m/b clip_score": "passed"},
    )


def test_what_got_worse_regresses_and_alone(before: Path, tmp_path: Path) -> None:
    after = written(tmp_path / "after", loss=0.5)
    assert states(after, before, "--equivalent", 0.1) == (
        1,
        {"m/a clip_score": "passed", "m/b clip_score": "regressed"},
    )
    assert states(after, before, "--equivalent", 0.9)[0] == 0
    result = invoke("gate", after, "--baseline", before, "--equivalent", 0.1)
    assert "regressed: 1 of 2 checks; means may be 0.1 worse." in result.stdout


def test_too_few_prompts_for_the_margin_are_undecided(before: Path, tmp_path: Path) -> None:
    after = written(tmp_path / "after", noise=1)
    code, found = states(after, before, "--equivalent", 0.01)
    assert code == 3 and set(found.values()) == {"undecided"}


def test_costs_must_keep_their_limits(before: Path, tmp_path: Path) -> None:
    slower = {A: [(9.0, False), (0.52, True)], B: [(9.0, False), (0.6, True)]}
    after = written(tmp_path / "after", batches=slower)
    options = ("--equivalent", 0.1, "--max-latency", "+5%", "--max-memory", "0%")
    code, found = states(after, before, *options)
    assert (code, found["m/a s/img"], found["m/b s/img"]) == (1, "passed", "regressed")
    assert found["m/a memory"] == found["m/b memory"] == "passed"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batches": {}}, "not measured"),
        ({"batches": {A: [(0.5, False)], B: [(0.5, False)]}}, "first or traced batches only"),
        ({"batch_size": 20}, "other device or batch size"),
    ],
)
def test_costs_that_cannot_be_compared_are_undecided(
    before: Path, tmp_path: Path, options: dict[str, object], told: str
) -> None:
    after = written(tmp_path / "after", **options)
    found = gate(open_views(after), open_views(before), Limits(0.1, latency=0.05))
    checks = [check for check in found.checks if check.measure == "s/img"]
    assert {(check.state, check.remark) for check in checks} == {("undecided", told)}


def test_the_same_pictures_pass_whatever_the_margin(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: {"x-1": [0], "x-2": [1]}, B: {"x-1": [1], "x-2": [1]}}})
    views = open_views(writer.path)
    assert gate(views, views, Limits(0.001)).state == "undecided"
    store = Store(writer.path)
    for part in store.parts("samples"):
        rows = store.read_part(part, TABLES["samples"].names).to_pylist()
        rows = [row | {"pixel_hash": row["sample_id"]} for row in rows]
        store.write("samples", rows[0]["shard_id"], rows)
    views = open_views(writer.path)
    found = gate(views, views, Limits(0.001))
    assert found.state == "passed" and {c.remark for c in found.checks} == {"same pictures"}


@pytest.mark.parametrize(
    "values",
    [[1.0, 1.0], [1.0, 0.5], [0.7, 0.7], [0.0] * 20 + [0.5]],
    ids=["all yes", "one half", "all alike", "many no and one half"],
)
def test_ties_alone_prove_no_margin(tmp_path: Path, values: list[float]) -> None:
    scores = {A: {f"x-{number}": [value] for number, value in enumerate(values)}}
    StoreWriter(tmp_path / "store").run({"composition": scores})
    views = open_views(tmp_path / "store")
    assert gate(views, views, Limits(0.005)).state == "undecided"


def test_other_scores_of_the_same_pictures_are_looked_at(tmp_path: Path) -> None:
    stores = []
    for name, value in (("before", 1), ("after", 0)):
        writer = StoreWriter(tmp_path / name)
        writer.run({"composition": {A: {prompt: [value] for prompt in PROMPTS}}})
        store = Store(writer.path)
        for part in store.parts("samples"):
            rows = store.read_part(part, TABLES["samples"].names).to_pylist()
            rows = [row | {"pixel_hash": row["sample_id"]} for row in rows]
            store.write("samples", rows[0]["shard_id"], rows)
        stores.append(open_views(writer.path))
    before, after = stores
    (check,) = gate(after, before, Limits(0.005)).checks
    assert (check.state, check.remark) == ("regressed", "")


def test_entries_of_one_store_only_are_named_and_not_compared(before: Path, tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"clip_score": {A: {"x-1": [1.0]}, "m/new": {"x-1": [1.0]}}})
    result = invoke("gate", writer.path, "--baseline", before, "--equivalent", 1)
    assert "Not compared, as in the baseline only: m/b." in " ".join(result.stdout.split())
    assert "Not compared, as not in the baseline: m/new." in " ".join(result.stdout.split())
    assert result.exit_code == 3  # one prompt tells nothing


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--equivalent", 0), "equivalent must be above 0"),
        (
            ("--equivalent", 1, "--max-latency", "fast"),
            "--max-latency must be a growth such as +5%",
        ),
        (("--equivalent", 1, "--metric", "clip_scor"), "did you mean 'clip_score'?"),
        (("--equivalent", 1, "--study", "studdy"), "did you mean 'study'?"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    before: Path, options: tuple[object, ...], told: str
) -> None:
    result = invoke("gate", before, "--baseline", before, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr and len(result.stderr.splitlines()) == 1


def test_growth_is_a_share() -> None:
    assert (growth("+5%", "x"), growth("12.5%", "x")) == (0.05, 0.125)
    for wrong in ("5", "-5%", "nan%", ""):
        with pytest.raises(InputError, match="x must be a growth"):
            growth(wrong, "x")


def test_stores_meet_on_wording_and_seed_place(tmp_path: Path) -> None:
    one, other = StoreWriter(tmp_path / "one"), StoreWriter(tmp_path / "other")
    mine = {"x-1": [1, 0], "x-2": [1], "x-3": [1], "x-4": [MISSING]}
    theirs = {"x-1": [0, 0], "x-2": [0], "x-4": [1]}
    one.run({"composition": {A: mine}})
    other.run({"composition": {A: theirs}}, prompts={"x-2": "worded anew"})
    (met,) = meetings_between(open_views(one.path), open_views(other.path), "study", "composition")
    assert (met.wins.tolist(), met.ties.tolist(), met.losses.tolist()) == ([1], [1], [0])
    assert (met.ours.tolist(), met.theirs.tolist()) == ([0.5], [0.0])
    assert met.is_binary and met.missing == 4


def test_stores_meet_whatever_the_order_of_prompts_and_entries(tmp_path: Path) -> None:
    one, other = StoreWriter(tmp_path / "one"), StoreWriter(tmp_path / "other")
    mine = {A: {"x-1": [3], "x-2": [5]}, B: {"x-1": [7], "x-2": [9]}}
    theirs = {B: {"x-1": [8], "x-2": [6]}, A: {"x-1": [2], "x-2": [4]}}
    one.run({"composition": mine})
    other.run({"composition": theirs}, listed=["x-3", "x-2", "x-1"])
    met = meetings_between(open_views(one.path), open_views(other.path), "study", "composition")
    found = {pair.entry: (pair.ours.tolist(), pair.theirs.tolist()) for pair in met}
    assert found == {A: ([3, 5], [2, 4]), B: ([7, 9], [8, 6])}


def test_a_score_without_a_pair_does_not_change_what_pairs_are(tmp_path: Path) -> None:
    one, other = StoreWriter(tmp_path / "one"), StoreWriter(tmp_path / "other")
    one.run({"composition": {A: {"x-1": [1], "x-2": [0]}}})
    other.run({"composition": {A: {"x-1": [1], "x-2": [0], "x-3": [0.5]}}})
    (met,) = meetings_between(open_views(one.path), open_views(other.path), "study", "composition")
    assert met.is_binary and met.missing == 1


def test_two_entries_are_compared_by_metric_and_task(before: Path) -> None:
    result = invoke("compare", before, B, A)
    text = " ".join(result.stdout.split())
    assert result.exit_code == 0 and "Study study: m/b against m/a" in text
    assert "clip_score by task" in text and "s/img" in text and "Holm for the 1 comparisons" in text
    found = json.loads(invoke("compare", before, B, A, "--json").stdout)
    (one,) = found["comparisons"]
    assert one["decision"]["verdict"] == "better" and one["wins"]["wins"] == 80
    assert set(found["tasks"]) == {"x", "y"}
    alone = json.loads(invoke("compare", before, A, B, "--json").stdout)["comparisons"][0]
    assert alone["decision"]["verdict"] == "worse" and alone["sign_p"] == one["sign_p"]


def test_two_stores_are_compared_entry_by_entry(before: Path, tmp_path: Path) -> None:
    after = written(tmp_path / "after", loss=0.5)
    found = json.loads(invoke("compare", after, before, "--json").stdout)["comparisons"]
    verdicts = {one["entry"]: one["decision"]["verdict"] for one in found}
    assert verdicts == {A: "undecided", B: "worse"}
    (met, *_) = meetings_between(open_views(after), open_views(before), "study", "clip_score")
    expected = difference(pairs(PROMPTS, met.ours, met.theirs))
    assert found[0]["difference"]["value"] == pytest.approx(expected.value)
    assert found[0]["wins"]["wins"] == win_rate(PROMPTS, met.ours, met.theirs).wins
    text = invoke("compare", after, before).stdout
    assert "the first store against the second" in text and "m/a, second store" in " ".join(
        text.split()
    )


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("m/c", A), "entry 'm/c' is unknown"),
        ((A, A), "cannot be compared with itself"),
        ((A, B, "--metric", "clip_scor"), "did you mean 'clip_score'?"),
        ((A, B, "--equivalent", "0.7"), "equivalent must be a share of wins"),
    ],
)
def test_compare_refuses_in_one_line(before: Path, names: tuple[str, ...], told: str) -> None:
    result = invoke("compare", before, *names)
    assert (result.exit_code, result.stdout) == (2, "") and told in result.stderr
