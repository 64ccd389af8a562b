"""The leaderboard of hand-made stores, its JSON and what its table says."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bakeoff.evaluators.composition import Composition
from bakeoff.evaluators.fidelity import KernelDistance, kernel_estimate
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate, Interval, mean_estimate, win_rate
from bakeoff.platform.conclusions.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.schemas import TABLES
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies import metrics
from bakeoff.platform.studies.benchmarks import BENCHMARKS
from bakeoff.platform.studies.metrics import MetricEntry
from bakeoff.platform.tables.leaderboard_table import number, render
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.tiny.detector import detect
from bakeoff.samplers.tiny.grammar import holds
from tests.store_writer import MISSING, StoreWriter

VANILLA, NOISE, CONTROL, OTHER = "m/vanilla", "m/noise", "m/control", "n/vanilla"
PROMPTS = ["x-1", "x-2", "x-3", "y-1", "y-2", "y-3"]


def scored(*values: float) -> dict[str, list]:
    return {prompt: [value] for prompt, value in zip(PROMPTS, values, strict=True)}


SCORES = {
    "composition": {
        VANILLA: scored(1, 0, 0, 1, 0, 1),
        NOISE: scored(1, 1, 1, 1, 0, 1),
        CONTROL: scored(0, 1, 0, 1, 0, 1),
        OTHER: scored(0, 0, 0, 0, 0, MISSING),
    }
}


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


@pytest.fixture
def board(writer: StoreWriter) -> Leaderboard:
    batches = {VANILLA: [(0.5, False), (0.25, True)], NOISE: [(0.75, False)]}
    writer.run(SCORES, copies={CONTROL: VANILLA}, batches=batches)
    return leaderboard(open_views(writer.path))


def printed(board: Leaderboard, width: int = 120, **options: bool) -> str:
    output = StringIO()
    Console(file=output, width=width).print(render(board, **options))
    return output.getvalue()


def test_standings_keep_the_studys_order_and_know_their_roles(board: Leaderboard) -> None:
    found = [(s.entry, s.is_baseline, s.is_control) for s in board.standings]
    assert found == [
        (VANILLA, True, False),
        (NOISE, False, False),
        (CONTROL, False, True),
        (OTHER, False, False),
    ]
    assert (board.baseline, board.decided_by) == (VANILLA, "composition")


def test_means_tasks_and_wins_are_those_of_the_statistics(board: Leaderboard) -> None:
    noise = board.standings[1]
    assert noise.scores["composition"] == mean_estimate(PROMPTS, [1, 1, 1, 1, 0, 1])
    assert noise.tasks["x"] == mean_estimate(PROMPTS[:3], [1, 1, 1])
    assert noise.wins == win_rate(PROMPTS, [1, 1, 1, 1, 0, 1], [1, 0, 0, 1, 0, 1])
    assert noise.wins is not None
    assert (noise.wins.wins, noise.wins.ties, noise.wins.losses) == (2, 4, 0)
    assert board.standings[0].wins is None


def test_a_missing_score_is_left_out_and_counted(board: Leaderboard) -> None:
    other = board.standings[3]
    assert other.samples == 6 and other.scores["composition"].samples == 5
    assert other.wins is not None and other.wins.missing == 1
    assert "n/vanilla 1" in printed(board)


def test_costs_stand_beside_the_scores(board: Leaderboard) -> None:
    vanilla, noise, control, _ = board.standings
    assert vanilla.seconds_per_image == pytest.approx(0.25) and vanilla.is_typical
    assert noise.seconds_per_image == pytest.approx(0.75) and not noise.is_typical
    assert control.seconds_per_image is None
    assert (vanilla.row_evaluations, vanilla.peak_memory_bytes) == (32.0, 2_000_000)


def test_the_table_names_control_baseline_and_what_decides(board: Leaderboard) -> None:
    text = printed(board)
    assert "A/A control" in text and "baseline" in text
    assert "beats m/vanilla on composition" in " ".join(text.split())
    assert "contains 50 %, as it should" in " ".join(text.split())
    assert "0.75*" in text and "first or traced batches only" in " ".join(text.split())
    assert "median over batches of up to 10 images on cpu of text" in " ".join(text.split())


def test_verdicts_stand_in_the_table_corrected_for_all_in_it(writer: StoreWriter) -> None:
    many = [f"x-{i}" for i in range(60)]
    right = {p: [i % 2] for i, p in enumerate(many)}
    scores = {
        VANILLA: right,
        NOISE: {p: [1] for p in many},
        CONTROL: {p: [(i // 2) % 2] for i, p in enumerate(many)},
        OTHER: {p: [int(i % 2 or i < 4)] for i, p in enumerate(many)},
    }
    writer.run({"composition": scores}, copies={CONTROL: VANILLA})
    board = leaderboard(open_views(writer.path))
    verdicts = {s.entry: s.comparison and s.comparison.decision for s in board.standings}
    assert verdicts[VANILLA] is None
    assert (verdicts[NOISE].verdict, verdicts[CONTROL].verdict) == ("better", "undecided")
    further = verdicts[OTHER].further_prompts
    text = " ".join(printed(board).split())
    assert further and f"{further:,} more" in text
    assert "corrected by Holm for the 3 comparisons shown" in text and "equivalent" not in text
    alike = leaderboard(open_views(writer.path), equivalent=0.15)
    assert alike.standings[3].comparison.decision.verdict == "equivalent"
    assert "lies within 35..65 %" in " ".join(printed(alike).split())


@pytest.mark.parametrize("margin", [0.0, -0.1, 0.5, float("nan")])
def test_a_margin_that_is_no_share_is_refused(writer: StoreWriter, margin: float) -> None:
    writer.run(SCORES)
    with pytest.raises(InputError, match="equivalent must be a share of wins"):
        leaderboard(open_views(writer.path), equivalent=margin)


def test_batches_of_several_sizes_are_told_apart(board: Leaderboard) -> None:
    first, *others = board.standings
    mixed = replace(board, standings=(replace(first, batch_size=4, device="L4"), *others))
    text = " ".join(printed(mixed).split())
    assert "of an entry's newest run (up to 4 images on L4 for m/vanilla; up to 10" in text


def test_the_table_says_so_when_the_control_fails(writer: StoreWriter) -> None:
    many = [f"x-{i}" for i in range(30)]
    scores = {VANILLA: {p: [0.0] for p in many}, CONTROL: {p: [1.0] for p in many}}
    writer.run({"composition": scores}, copies={CONTROL: VANILLA})
    assert "does NOT contain 50 %" in printed(leaderboard(open_views(writer.path)))


def test_tasks_are_shown_on_demand(board: Leaderboard) -> None:
    assert "composition by task" not in printed(board)
    assert "composition by task (%)" in printed(board, by_task=True)


@pytest.mark.parametrize("width", [30, 40, 80, 120])
def test_no_number_and_no_heading_is_cut_in_a_terminal(board: Leaderboard, width: int) -> None:
    text = printed(board, width, by_task=True)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    words = set(text.split())
    assert {"83", "44..97"} <= words  # Wilson of 5 in 6
    assert {"composition", "wins", "s/img", "evals", "MB", "0.75*"} <= words


def test_three_metrics_fit_a_wide_terminal_in_one_table(board: Leaderboard) -> None:
    (composition,) = board.metrics
    unbounded = [info_of(name) for name in ("clip_score", "kid_tiny_clip")]
    negative = Estimate(-0.1321, Interval(-0.1791, -0.0852), 72, 72)
    scores = {"clip_score": negative, "kid_tiny_clip": negative}
    standings = [replace(s, scores={**s.scores, **scores}) for s in board.standings]
    wide = replace(board, metrics=(composition, *unbounded), standings=tuple(standings))
    text = printed(wide, 100)
    assert "continued" not in text and text.count("-0.18..-0.09") == 8
    assert "continued" in printed(wide, 60)


def test_images_and_prompts_both_stand_where_they_differ(writer: StoreWriter) -> None:
    writer.run({"composition": {VANILLA: {"x-1": [1, 0], "x-2": [1, 1]}}})
    text = printed(leaderboard(open_views(writer.path)))
    assert {"images", "prompts", "4", "2"} <= set(text.split())
    assert "n: prompts" not in text


def test_tasks_stand_in_the_benchmarks_order(writer: StoreWriter) -> None:
    names = ("zebra", "color_attr", "position", "colors", "counting", "two_object")
    scores = {f"{name}-1": [1.0] for name in (*names, "single_object", "apple")}
    writer.run({"composition": {VANILLA: scores}})
    tasks = list(leaderboard(open_views(writer.path)).standings[0].tasks)
    assert tasks == [*BENCHMARKS["shapes"].tasks, "apple", "zebra"]
    assert tasks[:2] == ["single_object", "two_object"]


def test_json_holds_the_same_numbers(board: Leaderboard) -> None:
    found = json.loads(json.dumps(board.as_json(), allow_nan=False))
    noise = found["standings"][1]
    assert noise["entry"] == NOISE
    assert noise["scores"]["composition"]["value"] == pytest.approx(5 / 6)
    assert noise["scores"]["composition"]["interval"] == pytest.approx([0.4365, 0.9699], abs=1e-4)
    assert noise["comparison"]["wins"]["wins"] == 2
    assert noise["comparison"]["difference"]["value"] == pytest.approx(1 / 3)
    assert noise["comparison"]["decision"]["verdict"] == "undecided"


def test_one_prompt_has_a_line(writer: StoreWriter) -> None:
    writer.run({"composition": {VANILLA: {"x-1": [1]}, NOISE: {"x-1": [0]}}})
    board = leaderboard(open_views(writer.path))
    wins = board.standings[1].wins
    assert wins is not None and wins.estimate is not None
    assert wins.estimate.value == 0.0 and wins.estimate.contains(0.5)
    assert "0..100" in printed(board)


def test_entries_without_scores_have_a_line_without_numbers(writer: StoreWriter) -> None:
    writer.run({"composition": {VANILLA: {}, NOISE: {}}})
    board = leaderboard(open_views(writer.path))
    assert [s.samples for s in board.standings] == [0, 0]
    assert "–" in printed(board)


def test_a_store_without_runs_is_told_in_one_sentence(tmp_path: Path) -> None:
    Store(tmp_path / "store").create()
    with pytest.raises(InputError, match="holds no run yet"):
        leaderboard(open_views(tmp_path / "store"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"study": "studdy"}, "did you mean 'study'"),
        ({"decided_by": "compo"}, "'compo' is unknown"),
    ],
)
def test_unknown_names_are_refused(writer: StoreWriter, options: dict, sentence: str) -> None:
    writer.run(SCORES)
    with pytest.raises(InputError, match=sentence):
        leaderboard(open_views(writer.path), **options)


def taste(device: str) -> Composition:
    metric = Composition(detect, holds)
    metric.info = replace(metric.info, name="taste")
    return metric


def test_a_metric_that_is_not_installed_is_named(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {**metrics.METRICS, "taste": MetricEntry(taste)}
    monkeypatch.setattr(metrics, "METRICS", foreign)
    writer.run(SCORES | {"taste": SCORES["composition"]})
    monkeypatch.undo()
    board = leaderboard(open_views(writer.path))
    assert board.unreadable == ("taste",)
    assert "this installation lacks them: taste" in " ".join(printed(board).split())


def distance(device: str) -> Composition:
    metric = Composition(detect, holds)
    metric.info = replace(metric.info, name="distance", higher_is_better=False)
    return metric


def test_the_lower_score_wins_where_lower_is_better(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "METRICS", {"distance": MetricEntry(distance)})
    writer.run({"distance": {VANILLA: scored(1, 2, 3, 4, 5, 6), NOISE: scored(1, 1, 1, 1, 1, 9)}})
    wins = leaderboard(open_views(writer.path)).standings[1].wins
    assert wins is not None and (wins.wins, wins.ties, wins.losses) == (4, 1, 1)


def kernel_metric(device: str) -> KernelDistance:
    return KernelDistance(
        lambda images: images.reshape(len(images), -1),
        extractor="pixels",
        version="1",
        preprocessing="none",
    )


def test_a_set_metric_is_estimated_against_the_stored_reference(
    writer: StoreWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = MetricEntry(kernel_metric)
    monkeypatch.setattr(metrics, "METRICS", {**metrics.METRICS, "kid_pixels": entry})
    random = np.random.default_rng(0)
    features = {p: [random.normal(size=4).astype("f4").tolist()] for p in PROMPTS}
    reference = random.normal(0.5, size=(9, 4)).astype("f4")
    writer.run(SCORES | {"kid_pixels": {VANILLA: features, NOISE: {}}})
    writer.references("kid_pixels", reference.tolist())
    board = leaderboard(open_views(writer.path))
    vectors = np.array([features[p][0] for p in PROMPTS])
    expected = kernel_estimate(PROMPTS, vectors, reference.astype(np.float64))
    found = board.standings[0].scores["kid_pixels"]
    assert found.value == pytest.approx(expected.value)
    assert found.interval == pytest.approx(expected.interval)
    assert "kid_pixels" not in board.standings[1].scores
    assert board.decided_by == "composition"
    with pytest.raises(InputError, match="'kid_pixels' is unknown"):
        leaderboard(open_views(writer.path), decided_by="kid_pixels")


def info(low: float | None, high: float | None) -> MetricInfo:
    return MetricInfo("m", "1", "image", True, "u", (low, high), "", "", "", "")


def info_of(name: str) -> MetricInfo:
    return replace(info(None, None), name=name)


@pytest.mark.parametrize(
    ("scale", "estimate", "shown"),
    [
        (info(0, 1), Estimate(0.5, Interval(0.4321, 0.5678), 9, 9), ("50", "43..57")),
        (info(-1, 1), Estimate(0.5123, Interval(0.4901, 0.5345), 9, 9), ("0.51", "0.49..0.53")),
        (info(-1, 1), Estimate(0.0523, Interval(-0.001, 0.1065), 9, 9), ("0.05", "0.00..0.11")),
        (
            info(None, None),
            Estimate(0.00123, Interval(0.0009, 0.0016), 9, 9),
            ("0.0012", "0.0009..0.0016"),
        ),
        (info(None, None), Estimate(31.4, Interval(28.1, 34.7), 9, 9), ("31.4", "28.1..34.7")),
        (info(None, None), Estimate(512.3, Interval(401, 623), 9, 9), ("512", "401..623")),
        (info(None, None), Estimate(0.5, None, 1, 1), ("0.50", "")),
        (info(0, 1), None, ("–", "")),
    ],
)
def test_numbers_show_what_their_uncertainty_leaves_of_them(
    scale: MetricInfo, estimate: Estimate | None, shown: tuple[str, str]
) -> None:
    assert number(scale, estimate) == shown


def test_entries_that_ran_in_another_way_are_told_apart(writer: StoreWriter) -> None:
    writer.run(SCORES)
    store = Store(writer.path)
    assert "Transformers ran" not in printed(leaderboard(Views(store)))
    (run,) = store.read("runs", TABLES["runs"].names).to_pylist()
    ways = [("float32", False), ("bfloat16", False), ("bfloat16", True), ("float32", False)]
    for entry, (dtype, compiled) in zip(run["entries"], ways, strict=True):
        entry |= {"dtype": dtype, "compiled": compiled}
    store.write("runs", run["run_id"], [run])
    board = leaderboard(Views(store))
    assert [(one["dtype"], one["compiled"]) for one in board.as_json()["standings"]] == ways
    assert (
        f"Transformers ran in float32: {VANILLA}, {OTHER}; in bfloat16: {NOISE}; in bfloat16, "
        f"compiled: {CONTROL}."
    ) in " ".join(printed(board).split())
