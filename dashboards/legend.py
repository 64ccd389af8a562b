"""Legends as markup: those inside of charts take a phone's whole width, or are cut."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import streamlit as st

from bakeoff.dashboards.colors import PATHS, Look

STYLE = """<style>
.legend { display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; font-size: 0.85rem; }
.legend span { display: inline-flex; align-items: center; gap: 0.4rem; overflow-wrap: anywhere; }
.legend img { flex: none; height: 14px; }
</style>"""
INK = "#808080"  # of what stands for no model: seen on light and dark pages


class Key(NamedTuple):
    """What stands for a name in charts: a marker, or a dashed line, with it or without."""

    name: str
    color: str
    shape: str | None = "circle"
    dash: Sequence[int] | None = None


def legend(keys: Iterable[Key]) -> None:
    """Draw what stands for which name."""
    told = "".join(f"<span>{_drawn(key)}{escape(key.name)}</span>" for key in keys)
    st.html(f"{STYLE}<div class='legend'>{told}</div>")


def models_legend(colors: Mapping[str, str]) -> None:
    """Draw which color is whose model's."""
    legend(Key(model, color) for model, color in colors.items())


def marker(look: Look) -> str:
    """Return an entry's marker as markup."""
    return _drawn(Key("", look.color, look.shape))


def _drawn(key: Key) -> str:
    """Return a key's picture as markup; Streamlit lets SVG through as an image only."""
    half = 6 if key.dash is None else 18
    line = ""
    if key.dash is not None:
        dash = " ".join(map(str, key.dash))
        line = f"<path d='M{-half} 0H{half}' stroke='{key.color}' stroke-width='1.75' "
        line += f"stroke-dasharray='{dash}' fill='none'/>"
    mark = f"<path d='{PATHS[key.shape]}' fill='{key.color}'/>" if key.shape else ""
    box = f"viewBox='{-half} -6 {2 * half} 12' width='{2 * half}' height='12'"
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg' {box}>{line}{mark}</svg>"
    return f"<img alt='' src='data:image/svg+xml;base64,{b64encode(drawn.encode()).decode()}'>"
