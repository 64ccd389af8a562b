"""Runs until decided: their order and rounds, what is made and told, and how they resume."""

import json
import shutil
from collections.abc import Callable, Mapping
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from bakeoff.evaluators.stopping import course
from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.comparisons import judgements
from bakeoff.platform.conclusions.head_to_head import entries_head_to_head, stores_head_to_head
from bakeoff.platform.conclusions.leaderboard import Leaderboard, leaderboard
from bakeoff.platform.execution.deciding import Round, in_order, round_sizes, rounds
from bakeoff.platform.execution.execution import Progress, RunStopped
from bakeoff.platform.execution.progress import lacks
from bakeoff.platform.execution.run import Work, prepare
from bakeoff.platform.execution.status import status
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.store import Store
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study
from bakeoff.platform.tables.head_to_head_table import render as render_pair
from bakeoff.platform.tables.leaderboard_table import render
from bakeoff.samplers.errors import InputError
from tests.store_writer import StoreWriter
from tests.trials import bare_run, run, samples, scores

pytestmark = pytest.mark.usefixtures("no_ray")
PROMPTS = 90
PURE = f"""
name: pure
prompts: {[f"a photo of {number}" for number in range(PROMPTS)]}
metrics: [clip_score]
models:
  - path: masked
    recipes:
      vanilla: steps=4
      good: steps=5
      alike: steps=6
      control: {{like: vanilla, seed_offset: 1000}}
"""
VANILLA, GOOD, ALIKE, CONTROL = (
    f"masked/{name}" for name in ("vanilla", "good", "alike", "control")
)
CHANCES = {VANILLA: (0.5, 0.0), GOOD: (0.97, 0.0), ALIKE: (0.5, 0.9), CONTROL: (0.5, 0.0)}
Values = Mapping[str, Mapping[str, float]]  # by entry and prompt


@pytest.fixture(scope="module")
def pure(study_of: Callable[[str], Study]) -> Study:
    return study_of(PURE)


@pytest.fixture(scope="module")
def values(pure: Study) -> Values:
    """Scores of every prompt, whether it is asked for or not: above, at or below vanilla's 0."""
    numbers = np.random.default_rng(5)
    made: dict[str, dict[str, float]] = {}
    for entry, (win, tie) in CHANCES.items():
        chances = [(1 - win) * (1 - tie), tie, win * (1 - tie)]
        drawn = numbers.choice([-1.0, 0.0, 1.0], PROMPTS, p=chances)
        own = np.zeros(PROMPTS) if entry == VANILLA else drawn
        made[entry] = dict(zip((one.prompt_id for one in pure.prompts), own.tolist(), strict=True))
    return made


class Staged:
    """A store into which rounds are written as if their samples had been made."""

    def __init__(self, study: Study, values: Values, rule: Rule, folder: Path) -> None:
        self.writer, self.made = StoreWriter(folder / "store"), list[Round]()
        for one in rounds(study, rule, self._look):
            self.made.append(one)
            self._write(study, values, rule, one)

    def _look(self) -> Views:
        return open_views(self.writer.path)

    def _write(self, study: Study, values: Values, rule: Rule, one: Round) -> None:
        ordered = [prompt.prompt_id for prompt in in_order(study.name, study.prompts)]
        found = {
            entry.name: {p: [values[entry.name][p]] for p in ordered[: one.reach[entry.name]]}
            for entry in study.entries
        }
        self.writer.run(
            {"clip_score": found},
            study=study.name,
            copies={CONTROL: VANILLA},
            until_decided=rule.level,
            equivalent=rule.equivalent,
            asked=dict(one.reach),
            listed=ordered,
            minute=len(self.made),
        )


@pytest.fixture(scope="module")
def staged(pure: Study, values: Values, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return Staged(pure, values, Rule(0.05, 0.12), tmp_path_factory.mktemp("staged"))


def by_hand(pure: Study, values: Values, entry: str, far: int) -> Any:
    """Return an entry's course over the first prompts in the study's order."""
    ordered = in_order(pure.name, pure.prompts)[:far]
    won = [0.5 + 0.5 * values[entry][prompt.prompt_id] for prompt in ordered]
    return course(won, equivalent=0.12, confidence=1 - 0.05 / 3)


def printed(board: Leaderboard) -> str:
    output = StringIO()
    Console(file=output, width=160).print(render(board))
    return " ".join(output.getvalue().split())


def test_prompts_come_in_a_random_order_that_the_study_fixes(pure: Study) -> None:
    ordered = in_order("pure", pure.prompts)
    assert ordered == in_order("pure", pure.prompts[::-1])
    assert set(ordered) == set(pure.prompts)
    assert ordered != pure.prompts and ordered != in_order("another", pure.prompts)
    assert [p for p in ordered if p in pure.prompts[:40]] == list(
        in_order("pure", pure.prompts[:40])
    )


@pytest.mark.parametrize("prompts", [1, 16, 17, 783])
def test_rounds_grow_to_all_prompts(prompts: int) -> None:
    sizes = list(round_sizes(prompts))
    assert sizes[0] == min(16, prompts) and sizes[-1] == prompts
    assert all(a < b <= 1.5 * a + 1 for a, b in pairwise(sizes))


def test_an_entry_is_asked_for_no_more_once_it_is_decided(
    pure: Study, values: Values, staged: Staged
) -> None:
    reach = staged.made[-1].reach
    sizes = [max(one.reach.values()) for one in staged.made]
    for entry in (GOOD, ALIKE, CONTROL):
        found = by_hand(pure, values, entry, reach[entry])
        stops = found.verdict != "undecided"
        assert reach[entry] == (min(s for s in sizes if s >= found.prompts) if stops else PROMPTS)
    assert reach[GOOD] < reach[ALIKE] < reach[CONTROL] == reach[VANILLA] == PROMPTS
    assert staged.made[-1].study.prompts == in_order(pure.name, pure.prompts)
    assert {one.name for one in staged.made[-1].study.entries} == {VANILLA, CONTROL}


def test_verdicts_and_limits_are_those_that_hold_at_any_time(
    pure: Study, values: Values, staged: Staged
) -> None:
    board = leaderboard(open_views(staged.writer.path))
    found = {one.entry: one for one in board.standings}
    for entry, verdict in ((GOOD, "better"), (ALIKE, "equivalent"), (CONTROL, "undecided")):
        expected = by_hand(pure, values, entry, staged.made[-1].reach[entry])
        one = found[entry].comparison
        assert one and one.decision and one.wins.estimate and one.difference
        assert one.decision.verdict == expected.verdict == verdict
        assert one.wins.estimate.interval == expected.interval
        assert one.decision.p_value == pytest.approx(min(1, 3 * expected.p_value))
        assert one.decision.decided_after == (expected.prompts if verdict != "undecided" else None)
        # what would only hold for a fixed number of prompts is not there
        assert one.decision.further_prompts is one.sign_p is one.wilcoxon_p is None
        assert one.difference.interval is None
        assert found[entry].prompts == staged.made[-1].reach[entry]
    assert board.stopping and board.stopping.open == ()
    assert json.loads(json.dumps(board.as_json()))["stopping"]["rule"]["level"] == 0.05


def test_a_reader_is_told_that_the_number_of_prompts_was_not_fixed(staged: Staged) -> None:
    board = leaderboard(open_views(staged.writer.path))
    text = printed(board)
    after = {s.entry: s.comparison.decision.decided_after for s in board.standings if s.comparison}
    assert f"after {after[GOOD]}" in text and f"after {after[ALIKE]}" in text
    assert "Run until decided, at an error level of 5 %" in text
    least = staged.made[-1].reach[GOOD]
    assert f"asked for {least} to {PROMPTS} of {PROMPTS} prompts" in text
    assert "betting, anytime-valid" in text and "3 comparisons shown together, in 95 %" in text
    assert "only as if n had been fixed" in text and "within 38..62 %" in text
    for foreign in ("Agresti", "Holm", "further prompts that would tell", "has not ended"):
        assert foreign not in text


def test_a_run_that_was_killed_between_rounds_says_who_is_open(
    pure: Study, values: Values, tmp_path: Path
) -> None:
    class Killed(Staged):
        def _look(self) -> Views:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Killed(pure, values, Rule(0.05), tmp_path)
    board = leaderboard(open_views(tmp_path / "store"))
    assert board.stopping
    assert set(board.stopping.open) == {GOOD, ALIKE, CONTROL} - decided(board)
    assert f"The run has not ended: {', '.join(board.stopping.open)}" in printed(board)


def decided(board: Leaderboard) -> set[str]:
    made = {one.entry: one.comparison for one in board.standings if one.comparison}
    return {e for e, one in made.items() if one.decision and one.decision.verdict != "undecided"}


def test_what_lies_beyond_the_prompts_that_were_asked_for_counts_for_nothing(
    pure: Study, values: Values, staged: Staged, tmp_path: Path
) -> None:
    """As in a store that held the whole study before it was run until decided."""
    whole = {entry: {p: [v] for p, v in own.items()} for entry, own in values.items()}
    writer = StoreWriter(tmp_path / "store")
    writer.run(
        {"clip_score": whole},
        study="pure",
        copies={CONTROL: VANILLA},
        until_decided=0.05,
        equivalent=0.12,
        asked=dict(staged.made[-1].reach),
        listed=[prompt.prompt_id for prompt in in_order("pure", pure.prompts)],
    )
    found, expected = (leaderboard(open_views(p)) for p in (writer.path, staged.writer.path))
    assert found.standings == expected.standings


def test_every_pair_and_subset_holds_at_any_time_and_together(staged: Staged) -> None:
    views = open_views(staged.writer.path)
    both = {(one.entry, one.opponent): one for one in judgements(views, "pure", "clip_score")}
    assert len(both) == 12
    beside = both[GOOD, CONTROL].wins
    assert beside.estimate and beside.estimate.prompts == staged.made[-1].reach[GOOD]  # both have
    assert beside.missing == 0  # what the other alone was asked for is not missing
    one, back = both[GOOD, VANILLA], both[VANILLA, GOOD]
    assert one.decision and back.decision == one.decision.turned()
    assert one.wins.estimate and one.wins.estimate.interval
    assert back.wins.estimate and back.wins.estimate.interval
    assert back.wins.estimate.interval.high == pytest.approx(1 - one.wins.estimate.interval.low)
    board = leaderboard(views)
    alone = next(s.comparison for s in board.standings if s.entry == GOOD)
    assert alone and alone.decision  # of three comparisons in the place of six
    assert one.decision.p_value > alone.decision.p_value


def test_a_pair_is_told_without_what_needs_a_fixed_number(staged: Staged) -> None:
    views = open_views(staged.writer.path)
    found = entries_head_to_head(views, GOOD, VANILLA)
    output = StringIO()
    Console(file=output, width=160).print(render_pair(found))
    text = " ".join(output.getvalue().split())
    assert "The study was run until decided, so that n follows from the scores" in text
    assert "wrongly in 5 % of studies at most" in text and "Holm" not in text
    with pytest.raises(
        InputError, match=r"'pure' was run until decided in .*: run it there without"
    ):
        stores_head_to_head(views, views)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--until-decided", "5"], "until_decided must lie between 0 and 1, got 5.0: 0.05 errs in"),
        (["--until-decided", "nan"], "until_decided must lie between 0 and 1, got nan"),
        (["--until-decided", "0.05", "--equivalent", "0.5"], "between 0 and 0.5, got 0.5"),
        (["--equivalent", "0.01"], "give --until-decided"),
    ],
)
def test_wrong_input_is_told_in_one_line(tmp_path: Path, options: list[str], sentence: str) -> None:
    result = invoke("run", "--store", str(tmp_path / "store"), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("bakeoff: ") and sentence in line
    assert not list(tmp_path.iterdir())


def invoke(*arguments: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("metrics: [clip_score]", "metrics: []"), "metrics [] name none of single pictures"),
        (
            (PURE[PURE.index("      good") :], ""),
            "study 'pure' has one entry: there is nothing to decide",
        ),
    ],
)
def test_a_study_with_nothing_to_decide_is_refused(
    study_of: Callable[[str], Study], tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    study = study_of(PURE.replace(*change))
    with pytest.raises(InputError) as refusal:
        prepare(study, Store(tmp_path / "store"), 4, rule=Rule(0.05))
    assert sentence in str(refusal.value)


def test_a_dry_run_says_the_most_it_can_take_and_how_many_prompts_show_what(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        "{name: two, benchmark: {name: shapes, limit: 2}, metrics: [composition], models: "
        "[{model: tiny-meissonic, recipes: {vanilla: steps=4, other: steps=5}}]}"
    )
    command = ("run", str(study), "--store", str(tmp_path / "store"), "--dry-run")
    plain, until = invoke(*command).stdout, invoke(*command, "--until-decided", "0.05").stdout
    assert "= 24 images, 24 to do" in plain and "at most" not in plain.split("files")[0]
    assert "= 24 images at most, 24 to do unless it is decided before" in until
    assert "All of this at most" in until
    assert "prompts to see a win rate of: 55 %: 783, 60 %: 194" in plain
    assert "the study has 12" in plain
    assert list(tmp_path.iterdir()) == [study]


SHORT = """
name: short
benchmark: {name: shapes, limit: 4}
metrics: [composition]
models:
  - model: tiny-meissonic
    recipes:
      vanilla: steps=6
      control: {like: vanilla, seed_offset: 1000}
  - path: masked # before any training: all of its pictures are noise
    recipes:
      noise: steps=2
"""
HASTY = Rule(0.2)
TRAINED, SAME, UNTRAINED = "tiny-meissonic/vanilla", "tiny-meissonic/control", "masked/noise"


@pytest.fixture(scope="module")
def short(study_of: Callable[[str], Study]) -> Study:
    return study_of(SHORT)


@pytest.fixture(scope="module")
def finished(short: Study, ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `short`, run until decided by Ray, round after round."""
    place = tmp_path_factory.mktemp("until") / "store"
    assert run(short, place, rule=HASTY).failed == 0
    return place


def test_a_run_stops_where_all_is_decided_and_says_so(finished: Path) -> None:
    board = leaderboard(open_views(finished))
    assert {one.entry: one.samples for one in board.standings} == {
        TRAINED: 24,
        SAME: 24,
        UNTRAINED: 16,
    }
    worse = board.standings[2].comparison
    assert worse and worse.decision and worse.decision.verdict == "worse"
    assert worse.decision.decided_after and worse.decision.decided_after <= 16
    (found,) = status(Store.open(finished))
    assert (found.state, found.planned, found.scored) == ("done", 64, 64)
    assert lacks(Store.open(finished)) == []


def test_running_it_again_does_nothing(short: Study, finished: Path) -> None:
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()}
    steps: list[Work] = []
    result = run(short, finished, rule=HASTY, begin=steps.append)
    assert (result.made, steps) == (0, [])
    assert before == {file: file.read_bytes() for file in finished.rglob("*") if file.is_file()}


def test_a_run_that_is_stopped_in_a_round_ends_with_the_same_samples(
    short: Study, finished: Path, tmp_path: Path
) -> None:
    def stop(done: Progress) -> None:
        raise RunStopped("as if killed after a shard, of three entries one at least")

    place = tmp_path / "store"
    with pytest.raises(RunStopped):
        run(short, place, rule=HASTY, report=stop)
    assert 0 < len(samples(place)) < 48
    (found,) = status(Store.open(place))
    assert (found.state == "done", found.planned) == (False, 48)  # of the first round
    run(short, place, rule=HASTY)
    assert samples(place) == samples(finished)
    assert scores(place) == scores(finished)
    ends = [leaderboard(open_views(path)) for path in (place, finished)]
    assert ends[0].stopping == ends[1].stopping


def test_the_whole_study_can_be_run_after_it_was_decided(
    short: Study, tmp_path: Path, finished: Path
) -> None:
    place = tmp_path / "store"
    shutil.copytree(finished, place)
    assert bare_run(short, place).made == 8
    board = leaderboard(open_views(place))
    assert board.stopping is None and {one.samples for one in board.standings} == {24}
    assert run(short, place, rule=HASTY).made == 0
    again = leaderboard(open_views(place))
    assert again.stopping == leaderboard(open_views(finished)).stopping
    assert [one.samples for one in again.standings] == [24, 24, 16]
