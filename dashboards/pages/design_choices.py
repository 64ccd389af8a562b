"""What each design choice brings and costs, and whether prompts or seeds would tell more."""

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from bakeoff.dashboards.charts import interval_chart
from bakeoff.dashboards.colors import Look, model_colors
from bakeoff.dashboards.look import (
    empty,
    has_pictures,
    heading,
    metric_chooser,
    notes,
    table,
)
from bakeoff.evaluators.metric import MetricInfo
from bakeoff.evaluators.statistics import Estimate
from bakeoff.platform.conclusions.design_effects import (
    ChoiceEffect,
    DesignEffects,
    PicturesToBuy,
    design_effects,
    pictures_to_buy,
)
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.queries.views import Views
from bakeoff.platform.tables.leaderboard_table import DECIMALS, NOTHING, SHARE

NOTES = (
    "A choice is a field of the recipe at another value than the baseline's; the baseline of a "
    "model is the study's, or its entry that differs least from that one. Effects are mean "
    "differences on the same prompts, in the metric's unit (shares in points of 100).",
    "alone: the entry that has made this choice and no other, less the baseline. over all: the "
    "mean over all combinations of a grid's other choices, with the choice less without it.",
    "An interaction is what two choices bring together beyond the sum of both.",
    "Shapley share: what a choice adds to the gain of all together, on average over every order of "
    "adding them; the shares sum to that gain.",
    "Intervals are 95 %, with the prompt as the unit, each by itself: of twenty "
    "useless choices about one has an interval that leaves zero out. The leaderboard's verdicts "
    "are corrected for that.",
    "Costs are factors: × 2 takes twice as much as without the choice. Seconds compare on the same "
    "device and batch size only.",
)
UNTIL_DECIDED = (
    "This study was run until decided: an effect is over the prompts that its entries share, and "
    "its interval holds only as if n had been fixed."
)
NO_CHOICES = (
    "No entry of this study differs from its model's baseline by a single choice, and no grid is "
    "whole. Write `grid: {like: vanilla, noise: [null, abs_cos], zigzag: [null, masked]}` below a "
    "model and run the study again."
)
TOO_FEW = (
    "It takes two entries and two seeds of every prompt to tell prompts from seeds: write "
    "`seeds: [0, 1]` in the study and run it again."
)


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw what choices bring each model on a metric, and what more pictures would."""
    heading("Design choices", board)
    if not has_pictures(board):
        return
    infos = [info for info in board.metrics if info.kind == "image"]
    if not infos:
        empty("No metric of this study judges single pictures. Add `composition`, for one.")
        return
    info = metric_chooser("Metric", infos)
    found = _effects(views, key, board, board.study, info.name)
    if not found:
        empty(NO_CHOICES)
    colors = model_colors(standing.model for standing in board.standings)
    for one in found:
        _model(one, info, Look(colors[one.model], "circle"))
    _buy(_pictures(views, key, board, board.study, info.name), info)
    notes([*NOTES, *([UNTIL_DECIDED] if board.stopping else [])])


@st.cache_resource(max_entries=16, show_spinner="Comparing choices …")
def _effects(
    _views: Views, key: str, _board: Leaderboard, study: str, metric: str
) -> list[DesignEffects]:
    return design_effects(_views, _board, metric)


@st.cache_resource(max_entries=16, show_spinner="Comparing prompts and seeds …")
def _pictures(
    _views: Views, key: str, _board: Leaderboard, study: str, metric: str
) -> PicturesToBuy | None:
    return pictures_to_buy(_views, _board, metric)


def _model(found: DesignEffects, info: MetricInfo, look: Look) -> None:
    st.html(f"<h2>{escape(found.model)}</h2>")
    st.text(f"Against {found.baseline}")
    shares = found.grid.shapley if found.grid else None
    if found.alone:
        st.html("<strong>Each choice alone</strong>")
        alone = {one.choice: one.effect for one in found.alone}
        _chart(alone, info, look)
    if shares:
        st.html("<strong>Shapley shares of the gain of all choices of the grid</strong>")
        _chart(shares, info, look)
    table(_choices(found, info))
    if found.grid and found.grid.interactions:
        st.html("<strong>Interactions: what two bring beyond the sum of both</strong>")
        table(
            [
                {"choice": one, "with": other, "interaction": _signed(info, effect)}
                | {"prompts": effect.prompts}
                for (one, other), effect in found.grid.interactions.items()
            ]
        )


def _chart(effects: Mapping[str, Estimate], info: MetricInfo, look: Look) -> None:
    title = f"{info.name}: difference ({info.unit}), 95 % intervals"
    chart = interval_chart(effects, dict.fromkeys(effects, look), title, null=0.0)
    st.altair_chart(chart, width="stretch")


def _choices(found: DesignEffects, info: MetricInfo) -> list[dict[str, Any]]:
    """Return a row for each choice: its effects beside its costs, of the grid if there is one."""
    alone = {one.choice: one for one in found.alone}
    together = {one.choice: one for one in found.together}
    shares = (found.grid.shapley if found.grid else None) or {}
    rows = []
    for choice in dict.fromkeys((*together, *alone)):
        row: dict[str, Any] = {"choice": choice}
        row |= _effect("alone", alone.get(choice), info)
        if together:
            row |= _effect("over all", together.get(choice), info)
            row["Shapley share"] = _signed(info, shares.get(choice))
        costs = together.get(choice) or alone[choice]
        row["row evals ×"], row["seconds ×"] = costs.row_evaluations, costs.seconds
        rows.append(row)
    return rows


def _effect(name: str, found: ChoiceEffect | None, info: MetricInfo) -> dict[str, Any]:
    effect = found.effect if found else None
    return {name: _signed(info, effect), f"{name}: prompts": effect.prompts if effect else None}


def _signed(info: MetricInfo, effect: Estimate | None) -> str:
    """Return a difference with its sign and interval, of shares in points of 100."""
    if effect is None:
        return NOTHING
    scale, decimals = (100, 1) if info.range == SHARE else (1, DECIMALS + 1)
    ends = "..".join(f"{scale * end:+z.{decimals}f}" for end in effect.interval or ())
    value = f"{scale * effect.value:+z.{decimals}f}"
    return f"{value} ({ends})" if ends else value


def _buy(found: PicturesToBuy | None, info: MetricInfo) -> None:
    st.header("Prompts or seeds?", anchor="buy")
    if found is None:
        empty(TOO_FEW)
        return
    st.text(found.sentence)
    shares = found.shares
    parts = {
        "prompt: some are harder for all": shares.prompt,
        "recipe × prompt: who wins depends on the prompt": shares.recipe_by_prompt,
        "seed, for all recipes alike: the noise that they share": shares.shared_seed,
        "seed, for one recipe alone: chance": shares.seed,
    }
    total = sum(parts.values())
    table(
        [
            {
                "a picture's variance comes from": name,
                f"variance of {info.name}": value,
                "share %": round(100 * value / total) if total else None,
                "prompts": found.prompts,
                "seeds": found.seeds,
            }
            for name, value in parts.items()
        ]
    )
