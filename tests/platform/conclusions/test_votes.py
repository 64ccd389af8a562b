"""What the arena asks, stores and concludes, on rows that a person can add up in their head."""

from pathlib import Path

import pytest

from bakeoff.platform.conclusions.arena import cast, next_duel
from bakeoff.platform.conclusions.leaderboard import study_metrics
from bakeoff.platform.conclusions.votes import (
    ENOUGH,
    agreements,
    cast_votes,
    pair_counts,
    strengths,
    verdicts,
)
from bakeoff.platform.queries.views import Views, open_views
from bakeoff.platform.store.store import Store
from tests.store_writer import MISSING, StoreWriter, png

A, B, C = "m/a", "m/b", "n/c"
PROMPTS = [f"x-{number}" for number in range(2 * ENOUGH)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wins over B on one seed of three quarters of the prompts; C has one prompt."""
    writer = StoreWriter(tmp_path_factory.mktemp("votes") / "store")
    wins = [place < 30 for place in range(len(PROMPTS))]
    writer.run(
        {
            "composition": {
                A: {prompt: [float(won), 0] for prompt, won in zip(PROMPTS, wins, strict=True)},
                B: {prompt: [0, 0] for prompt in PROMPTS},
                C: {"x-0": [1, MISSING]},
            }
        }
    )
    return writer.path


@pytest.fixture
def views(path: Path) -> Views:
    """The store without the votes of other tests."""
    for part in Store(path).parts("votes"):
        part.unlink()
    return open_views(path)


def vote(views: Views, result_for_a: float, times: int = 1, opponent: str = B) -> list[str]:
    """Answer questions about A as one who can tell; returns the prompts."""
    asked = []
    for _ in range(times):
        duel = next_duel(views, "study", entry=A, opponent=opponent, shuffle=3)
        assert duel
        cast(views.store, duel, result_for_a if duel.left.entry == A else 1 - result_for_a, " me ")
        views.renew("votes")
        asked.append(f"{duel.prompt_id} {duel.seed_place}")
    return asked


def test_a_question_is_about_two_pictures_of_one_prompt_and_seed_place(views: Views) -> None:
    duel = next_duel(views, "study", entry=A, opponent=B, shuffle=1)
    assert duel and {duel.left.entry, duel.right.entry} == {A, B}
    for side in (duel.left, duel.right):
        assert side.png == png(f"{side.entry} {duel.prompt_id}")
        name, _, recipe = side.entry.partition("/")
        assert side.sample_id == f"{name} {recipe} {duel.prompt_id} {side.seed}"
    assert duel.left.seed == duel.right.seed == duel.seed_place - 1
    assert (duel.questions, duel.voted) == (2 * len(PROMPTS), 0)
    assert duel.prompt == f"a photo of {duel.prompt_id}"


def test_sides_and_order_are_up_to_chance_and_stay_until_somebody_votes(views: Views) -> None:
    duels = [next_duel(views, "study", entry=A, opponent=B, shuffle=n) for n in range(40)]
    assert len({duel.prompt_id for duel in duels if duel}) > 15
    assert 8 < sum(duel.left.entry == A for duel in duels if duel) < 32
    assert duels == [next_duel(views, "study", entry=A, opponent=B, shuffle=n) for n in range(40)]


def test_no_question_comes_again_before_all_have_been_asked(views: Views) -> None:
    asked = vote(views, 1, times=2, opponent=C)
    assert sorted(asked) == ["x-0 1", "x-0 2"]
    again = next_duel(views, "study", entry=C, opponent=A, shuffle=3)
    assert again and (again.questions, again.voted) == (2, 2)


def test_entries_without_a_common_prompt_have_no_question(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.run({"composition": {A: {"x-0": [1]}, B: {"x-1": [1]}, C: {}}})
    views = open_views(writer.path)
    for opponent in (B, C, A):
        assert next_duel(views, "study", entry=A, opponent=opponent, shuffle=0) is None


def test_a_vote_is_a_row_that_names_both_pictures(views: Views) -> None:
    duel = next_duel(views, "study", entry=A, opponent=B, shuffle=3)
    assert duel
    cast(views.store, duel, 0.5, "x" * 1000)
    (part,) = views.store.parts("votes")
    (row,) = views.store.read_part(part, ["left_sample_id", "voter", "result"]).to_pylist()
    assert row == {"left_sample_id": duel.left.sample_id, "voter": "x" * 80, "result": 0.5}
    assert part.name.startswith("part-2")


def test_a_vote_changes_what_is_said_of_votes_alone(views: Views) -> None:
    before, votes = views.store.fingerprint(), views.store.fingerprint("votes")
    vote(views, 1)
    assert views.store.fingerprint() == before and views.store.fingerprint("votes") != votes


def test_a_store_that_refuses_is_an_error_of_the_machine(views: Views, tmp_path: Path) -> None:
    duel = next_duel(views, "study", entry=A, opponent=B, shuffle=3)
    (tmp_path / "votes").write_text("in the way")
    assert duel
    with pytest.raises(OSError):
        cast(Store(tmp_path), duel, 1.0)


def test_votes_are_read_as_the_study_names_its_entries(views: Views) -> None:
    vote(views, 1, times=3)
    vote(views, 0.5, opponent=C)
    votes = cast_votes(views, "study")
    assert pair_counts(votes) == {frozenset((A, B)): 3, frozenset((A, C)): 1}
    assert [one.result if one.entry == A else 1 - one.result for one in votes] == [1, 1, 1, 0.5]
    assert cast_votes(views, "another study") == []


def test_a_vote_counts_for_a_study_that_renames_an_entry_and_not_for_other_seeds(
    tmp_path: Path,
) -> None:
    writer = StoreWriter(tmp_path / "store")
    scores = {"x-0": [1.0, 0.0]}
    writer.run({"composition": {A: scores, B: scores}})
    views = open_views(writer.path)
    vote(views, 1)
    (run,) = views.store.read("runs", ["run_id", "started", "entries", "prompts"]).to_pylist()
    renamed = [entry | {"name": f"new {entry['name']}"} for entry in run["entries"]]
    others = [entry | {"seeds": [7]} for entry in run["entries"]]
    first, second = run["entries"]
    turned = [first, second | {"seeds": second["seeds"][::-1]}]  # pictures are no longer paired
    for study, entries in {"renamed": renamed, "others": others, "turned": turned}.items():
        row = {**run, "run_id": study, "study_name": study, "entries": entries, "metrics": []}
        views.store.write("runs", study, [row])
    views = open_views(writer.path)
    (one,) = cast_votes(views, "renamed")
    assert {one.entry, one.opponent} == {f"new {A}", f"new {B}"}
    assert cast_votes(views, "others") == cast_votes(views, "turned") == []


def test_a_vote_of_a_result_that_there_is_not_does_not_count(views: Views) -> None:
    duel = next_duel(views, "study", entry=A, opponent=B, shuffle=3)
    assert duel
    for result in (7.0, float("nan")):
        cast(views.store, duel, result)
    views.renew("votes")
    assert cast_votes(views, "study") == []


def test_who_is_preferred_is_stronger(views: Views) -> None:
    assert strengths([]) == []
    vote(views, 1, times=6)
    strong, weak = strengths(cast_votes(views, "study"))
    assert (strong.name, weak.name) == (A, B) and strong.wins_all and strong.games == 6


def test_metrics_are_held_against_votes_where_they_scored_both(views: Views) -> None:
    metrics, _ = study_metrics(views, "study")
    infos = [metric.info for metric in metrics]
    assert agreements(views, "study", infos) == {}
    prompts = {one.split()[0] for one in vote(views, 1, times=20)}
    found = agreements(views, "study", infos)["composition"]
    # A scores 1 on the first seed of the first 30 prompts and ties otherwise
    rows = views.query("opinions", study="study")
    wins = [row for row in rows if row["above"] != 0.5]
    share = found.share
    assert share.prompts == len(prompts) and share.samples == len(rows) == 20
    assert 0.5 < share.value < 1 and len(wins) not in (0, 20)
    assert all(row["above"] == row["result"] for row in wins)


def test_votes_and_metric_make_one_win_rate_once_there_are_enough(views: Views) -> None:
    info = study_metrics(views, "study")[0][0].info
    assert verdicts(views, "study", info, []) == []
    for number in range(ENOUGH + 10):
        vote(views, float(number % 3 > 0))
    vote(views, 1, times=2, opponent=C)
    many, few = verdicts(views, "study", info, cast_votes(views, "study"))
    assert {many.entry, many.opponent} == {A, B} and {few.entry, few.opponent} == {A, C}
    assert few.calibrated is None and few.wins.estimate and few.wins.estimate.samples == 2
    assert many.wins.estimate and many.calibrated
    for_a = many.wins.wins if many.entry == A else many.wins.losses
    assert (for_a, many.wins.ties) == (20, 0)
    assert many.calibrated.estimate.prompts == len(PROMPTS)
    voted = {
        one.prompt_id for one in cast_votes(views, "study") if C not in (one.entry, one.opponent)
    }
    assert many.wins.estimate.prompts == len(voted) < len(PROMPTS)


def test_opinions_are_those_of_the_side_that_is_asked_about(views: Views) -> None:
    vote(views, 1, times=4)
    ways = {
        entry: views.query(
            "pair_opinions", study="study", metric="composition", entry=entry, opponent=opponent
        )
        for entry, opponent in ((A, B), (B, A))
    }
    assert len(ways[A]) == len(ways[B]) == len(PROMPTS)
    for ours, theirs in zip(ways[A], ways[B], strict=True):
        assert ours["above"] == 1 - theirs["above"] == (0.75 if ours["prompt_id"] in WON else 0.5)
        assert (ours["vote"], theirs["vote"]) in {(1.0, 0.0), (None, None)}
    assert sum(row["vote"] is not None for row in ways[A]) in range(2, 5)


WON = PROMPTS[:30]
