"""The arena: people say which of two pictures is better, not knowing who made them."""

from collections.abc import Mapping, Sequence
from html import escape
from secrets import randbelow
from typing import Any

import streamlit as st

from bakeoff.dashboards.look import (
    empty,
    has_pictures,
    heading,
    in_one_line,
    metric_chooser,
    refused,
    table,
)
from bakeoff.dashboards.picture import image
from bakeoff.evaluators.calibration import Agreement
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.ranking import Strength
from bakeoff.platform.conclusions.arena import LONGEST_NAME, Duel, cast, next_duel
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.conclusions.votes import (
    ENOUGH,
    Verdict,
    Vote,
    agreements,
    cast_votes,
    pair_counts,
    strengths,
    verdicts,
)
from bakeoff.platform.queries.views import Views
from bakeoff.platform.tables.leaderboard_table import percent

FEWEST = "whichever has fewest votes"
LONGEST_PROMPT = 600  # characters shown; a store may hold prompts of any length
ANSWERS = {1.0: "the left one", 0.5: "neither", 0.0: "the right one"}
STYLE = """<style>
.arena { display: grid; gap: 0.75rem; grid-template-columns: 1fr 1fr; max-width: 1060px; }
.arena img { width: 100%; image-rendering: pixelated; border-radius: 4px; }
.arena img.reduced { image-rendering: auto; }
</style>"""


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw a question with its answers, and below it what all answers come to."""
    heading("Arena", board)
    if not has_pictures(board):
        return
    if len(board.standings) < 2:
        empty("It takes two entries to compare. Add a recipe to the study and run it.")
        return
    key += views.store.fingerprint("votes")
    votes = _votes(views, key, board.study)
    chosen, opponent = _pair(board)
    entry = chosen if chosen != FEWEST else _least_voted(board, opponent, votes)
    if "shuffle" not in st.session_state:
        _shuffle()
    shuffle = st.session_state["shuffle"]
    duel = next_duel(views, board.study, entry=entry, opponent=opponent, shuffle=shuffle)
    _last()
    if duel is None:
        empty("These two entries have no picture of the same prompt and seed place yet.")
    else:
        _ask(views, duel)
    _conclude(views, key, board, votes)


@st.cache_resource(max_entries=4, show_spinner=False)
def _votes(_views: Views, key: str, study: str) -> list[Vote]:
    """Return the votes as they are now, which every vote makes another key."""
    _views.renew("votes")
    return cast_votes(_views, study)


def _pair(board: Leaderboard) -> tuple[str, str]:
    names = [standing.entry for standing in board.standings]
    with st.container(horizontal=True):
        first = names.index(board.baseline) if board.baseline in names else 0
        opponent = st.selectbox(
            "Against", names, index=first, key="against", bind="query-params", width=280
        )
        others = [FEWEST, *(name for name in names if name != opponent)]
        chosen = st.selectbox("Entry", others, key="entry", bind="query-params", width=280)
        st.text_input("Your name, if you like", key="voter", max_chars=LONGEST_NAME, width=220)
    return chosen, opponent


def _least_voted(board: Leaderboard, opponent: str, votes: Sequence[Vote]) -> str:
    counts = pair_counts(votes)
    others = [one.entry for one in board.standings if one.entry != opponent and one.samples]
    others = others or [one.entry for one in board.standings if one.entry != opponent]
    return min(others, key=lambda entry: counts[frozenset((entry, opponent))])


def _ask(views: Views, duel: Duel) -> None:
    """Draw two pictures and what can be said of them."""
    prompt = duel.prompt
    cut = prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[:LONGEST_PROMPT]} …"
    style = "overflow-wrap: anywhere; white-space: pre-wrap; margin: 0.5rem 0 0"
    st.html(f"<p style='{style}'><strong>{escape(cut)}</strong></p>")
    pictures = [image(side.png) for side in (duel.left, duel.right)]
    shown = "".join(f"<div>{picture}</div>" for picture in pictures)
    st.html(f"{STYLE}<div class='arena'>{shown}</div>")
    if all(picture.startswith("<img") for picture in pictures):
        _answers(views, duel)
    else:
        st.text("There is nothing to judge: one of these two has no picture that can be shown.")
        st.button("Another question", on_click=_shuffle)
    st.progress(
        duel.voted / duel.questions,
        f"{duel.voted} of {duel.questions} questions on these two entries have a vote",
    )


def _shuffle() -> None:
    st.session_state["shuffle"] = randbelow(2**31)


def _answers(views: Views, duel: Duel) -> None:
    """Draw three answers; left, down and right are their keys."""

    def answer(result: float) -> None:
        try:
            cast(views.store, duel, result, st.session_state.get("voter", ""))
            st.session_state["last"] = (duel, result)
        except OSError as error:
            st.session_state["last"] = error

    with st.container(horizontal=True):
        for label, shortcut, result in (
            ("Left is better", "Left", 1.0),
            ("Neither", "Down", 0.5),
            ("Right is better", "Right", 0.0),
        ):
            st.button(label, shortcut=shortcut, on_click=answer, args=(result,))


def _last() -> None:
    """Say who made the pictures of the question before, or why the vote was not stored."""
    last = st.session_state.pop("last", None)
    if isinstance(last, OSError):
        refused("The vote was not stored: the store cannot be written.", last)
    elif last:
        duel, result = last
        st.text(
            f"Before: left {duel.left.entry}, right {duel.right.entry}; you preferred "
            f"{ANSWERS[result]}."
        )


def _conclude(views: Views, key: str, board: Leaderboard, votes: list[Vote]) -> None:
    st.header("What the votes say", anchor=False)
    if not votes:
        empty("No vote on this study's entries yet. The first question stands above.")
        return
    st.text(f"{len(votes)} votes, {len({vote.prompt_id for vote in votes})} prompts")
    table([_strength(one) for one in strengths(votes)])
    st.caption(
        "Strength is the log-odds of being preferred to the mean entry (Bradley-Terry, ties half a "
        "win each), with a 95 % interval in which the prompt is the unit; ranks are those that no "
        "other strength excludes, corrected for all pairs."
    )
    infos = [info for info in board.metrics if info.kind == "image"]
    if infos:
        _agreement(_agreements(views, key, board.study, tuple(infos)))
        st.header("Win rates by people, calibrated", anchor=False)
        info = metric_chooser("Metric joined with the votes", infos)
        _calibration(_verdicts(views, key, board.study, info))


def _strength(one: Strength) -> dict[str, Any]:
    guard = "won every vote" if one.wins_all else "lost every vote" if one.loses_all else ""
    best, worst = one.ranks
    return {
        "entry": one.name,
        "votes": int(one.games),
        "strength": f"{one.value:+.2f} ({one.interval.low:+.2f}..{one.interval.high:+.2f})",
        "rank": f"{best}" if best == worst else f"{best} to {worst}",
        "group": one.group + 1,
        "note": guard and f"{guard}: how far it stands apart is a guess",
    }


@st.cache_resource(max_entries=4, show_spinner="Asking metrics …")
def _agreements(
    _views: Views, key: str, study: str, infos: tuple[MetricInfo, ...]
) -> Mapping[str, Agreement]:
    return agreements(_views, study, infos)


@st.cache_resource(max_entries=8, show_spinner="Asking metrics …")
def _verdicts(_views: Views, key: str, study: str, info: MetricInfo) -> list[Verdict]:
    return verdicts(_views, study, info, cast_votes(_views, study))


def _agreement(found: Mapping[str, Agreement]) -> None:
    st.header("Do metrics agree with people?", anchor=False)
    if not found:
        empty("No vote yet that prefers one of two pictures which a metric has scored.")
        return
    table(
        [
            {
                "metric": name,
                "votes": one.share.samples,
                "prompts": one.share.prompts,
                "agrees %": in_one_line(percent(one.share)),
                "kappa": one.kappa,
            }
            for name, one in found.items()
        ]
    )
    st.caption(
        "Of votes that prefer one picture; a metric that ties agrees by half, and kappa is 0 for "
        "what chance would give."
    )


def _calibration(found: list[Verdict]) -> None:
    table([_verdict(one) for one in found])
    st.caption(
        f"From {ENOUGH} voted prompts on, the metric's opinion of all prompts narrows the interval "
        "by as much as it has agreed with the votes (prediction-powered inference); a metric that "
        "agrees with nobody changes nothing."
    )


def _verdict(one: Verdict) -> dict[str, Any]:
    row: dict[str, Any] = {"entry": one.entry, "against": one.opponent}
    if one.wins.estimate:
        row |= {"votes": one.wins.estimate.samples, "voted prompts": one.wins.estimate.prompts}
        row |= {"people prefer it %": in_one_line(percent(one.wins.estimate))}
    calibrated = one.calibrated
    row["calibrated %"] = in_one_line(percent(calibrated.estimate)) if calibrated else None
    row["prompts"] = calibrated.estimate.prompts if calibrated else None
    row["variance saved %"] = round(100 * calibrated.gain) if calibrated else None
    return row
