"""Entries at equal steps or equal compute: each group is ranked on its own, by its own baseline.

A choice that doubles the network passes must beat vanilla at twice the steps, and not only at the
same number of them. A group holds one model: what a row-evaluation takes differs from model to
model, as one of a masked model passes over all tokens and one of an autoregressive over a position.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

from bakeoff.platform.conclusions.comparisons import Comparison, compared, meetings
from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.queries.views import Views
from bakeoff.samplers.errors import InputError, unknown
from bakeoff.samplers.recipe import Recipe

Terms = Literal["steps", "compute"]
TOLERANCE: Mapping[Terms, float] = {"steps": 0.0, "compute": 0.05}  # share of a group's anchor
UNITS: Mapping[Terms, str] = {"steps": "steps", "compute": "row-evaluations"}
NO_CHANGE = ("steps", "preset")  # a preset is a way of spelling


@dataclass(frozen=True)
class Group:
    """A model's entries on equal terms, the best first, and the one they are compared with.

    An entry alone in its group has no baseline and no wins.
    """

    model: str
    terms: str  # "steps 16", "row-evaluations 32..33"
    baseline: str | None
    standings: tuple[Standing, ...]


def check_terms(text: str) -> Terms:
    """Return terms as they are spelled.

    Raises:
        InputError: there are no such terms.
    """
    if text not in get_args(Terms):
        raise unknown("equal", text, get_args(Terms))
    return cast(Terms, text)


def groups_as_json(board: Leaderboard, groups: Sequence[Group]) -> dict[str, Any]:
    """Return a leaderboard as plain values, its groups in place of its standings."""
    plain = board.as_json()
    del plain["standings"], plain["baseline"]
    return plain | {"groups": [asdict(group) for group in groups]}


def group_entries(
    views: Views, board: Leaderboard, terms: Terms, task: str | None = None
) -> list[Group]:
    """Return each model's entries in groups of equal steps or compute, its cheapest group first.

    `task` names the one that the leaderboard is narrowed to, if it is.

    A group's baseline is the study's if it is in there, else the entry that differs least from it:
    vanilla at other steps. An entry whose steps or compute are not known stands alone, at the end.
    The comparisons of all groups are one family.
    """
    costs = _steps(views, board) if terms == "steps" else _row_evaluations(board)
    groups = []
    for own in _by_model(board, costs):
        for entries in _alike(board.baseline, own, TOLERANCE[terms]):
            spent = [round(costs[entry], 1) for entry in entries]
            ends = dict.fromkeys(f"{end:g}" for end in (min(spent), max(spent)))
            groups.append(_group(board, f"{UNITS[terms]} {'..'.join(ends)}", entries))
    lone = [standing.entry for standing in board.standings if standing.entry not in costs]
    groups += [_group(board, f"unknown {UNITS[terms]}", {entry}) for entry in lone]
    compared_by_entry = _comparisons(views, board, groups, task)
    return [_judged(board, group, compared_by_entry) for group in groups]


def _steps(views: Views, board: Leaderboard) -> dict[str, float]:
    """Return the steps of each entry; a model that takes no number of them takes one a token."""
    tokens = {row["entry"]: row["tokens"] for row in views.query("entry_tokens", study=board.study)}
    recipes = {s.entry: _read(s.recipe) for s in board.standings}
    steps = {e: recipe.steps or tokens.get(e) for e, recipe in recipes.items() if recipe}
    return {entry: float(count) for entry, count in steps.items() if count}


def _row_evaluations(board: Leaderboard) -> dict[str, float]:
    means = {standing.entry: standing.row_evaluations for standing in board.standings}
    return {entry: mean for entry, mean in means.items() if mean is not None}


def _by_model(board: Leaderboard, costs: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """Yield the costs of each model's entries; other weights are another model."""
    models: dict[tuple[str, str], dict[str, float]] = {}
    for one in board.standings:
        if one.entry in costs:
            models.setdefault((one.model, one.weights_hash), {})[one.entry] = costs[one.entry]
    yield from models.values()


def _alike(
    baseline: str | None, costs: Mapping[str, float], tolerance: float
) -> Iterator[set[str]]:
    """Yield entries of like cost: around the baseline, and then around the cheapest that is left.

    The order of the groups is that of their costs.
    """
    left = dict(sorted(costs.items(), key=lambda item: (item[0] != baseline, item[1])))
    groups = []
    while left:
        anchor = next(iter(left.values()))
        near = {entry for entry, cost in left.items() if abs(cost - anchor) <= tolerance * anchor}
        left = {entry: cost for entry, cost in left.items() if entry not in near}
        groups.append(near)
    yield from sorted(groups, key=lambda near: min(costs[entry] for entry in near))


def _group(board: Leaderboard, terms: str, entries: set[str]) -> Group:
    """Return the entries as a group, their roles and comparisons still those of the study."""
    members = tuple(standing for standing in board.standings if standing.entry in entries)
    baseline = baseline_of(board, members) if len(members) > 1 else None
    return Group(members[0].model, terms, baseline, members)


def _comparisons(
    views: Views, board: Leaderboard, groups: Sequence[Group], task: str | None
) -> dict[str, Comparison]:
    """Return each entry's comparison with the baseline of its group."""
    if board.decided_by is None:
        return {}
    met = [
        meeting
        for group in groups
        if group.baseline
        for meeting in meetings(
            views, board.study, board.decided_by, opponent=group.baseline, task=task
        )
        if meeting.entry in {one.entry for one in group.standings}
    ]
    return {one.entry: one for one in compared(met, board.equivalent)}


def _judged(board: Leaderboard, group: Group, found: Mapping[str, Comparison]) -> Group:
    """Return a group in its order, with the roles and comparisons that entries have in it."""
    standings = [
        replace(
            one,
            is_baseline=one.entry == group.baseline,
            is_control=one.is_control and group.baseline in (board.baseline, None),
            is_chosen=False,  # among all, not in its group
            comparison=found.get(one.entry),
        )
        for one in group.standings
    ]
    return replace(group, standings=tuple(sorted(standings, key=lambda one: _place(board, one))))


def baseline_of(board: Leaderboard, members: Sequence[Standing]) -> str:
    """Return the study's baseline, or the entry whose recipe differs from it in fewest choices."""
    given = {standing.entry: standing for standing in board.standings}.get(board.baseline or "")
    recipe = _read(given.recipe) if given else None
    plain = recipe.to_dict() if recipe else {}

    def changes(standing: Standing) -> tuple[bool, float]:
        own = _read(standing.recipe)
        if own is None:
            return True, float("inf")
        choices = own.to_dict()
        names = (choices.keys() | plain.keys()) - set(NO_CHANGE)
        changed = [name for name in names if choices.get(name) != plain.get(name)]
        return standing.entry != board.baseline, len(changed)

    return min(members, key=changes).entry


def _place(board: Leaderboard, standing: Standing) -> tuple[bool, float]:
    """Return what sorts the best first on the deciding metric; without a score comes last."""
    info = next((info for info in board.metrics if info.name == board.decided_by), None)
    score = standing.scores.get(info.name) if info else None
    if info is None or score is None:
        return True, 0.0
    return False, -score.value if info.higher_is_better else score.value


def _read(recipe: str) -> Recipe | None:
    """Return the recipe of a stored text; None if it is another version's, unreadable here."""
    try:
        return Recipe.from_text(recipe)
    except InputError:
        return None
