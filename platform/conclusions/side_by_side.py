"""The same prompt and seed by several entries: what they disagree on, and their pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import escape

from bakeoff.platform.queries.views import Views


@dataclass(frozen=True)
class Picture:
    """A sample's picture; `png` is None where the store holds none."""

    sample_id: str
    seed: int
    png: bytes | None


@dataclass(frozen=True)
class Question:
    """Which prompts are looked at: by whom, at which seed place, and in which order.

    `metric` names whose spread comes first; None: tasks take turns. `task` None: all.
    """

    study: str
    entries: tuple[str, ...]
    seed_place: int = 1
    metric: str | None = None
    task: str | None = None
    holding: str = ""  # what prompts must contain, in capitals or not


@dataclass(frozen=True)
class Disputed:
    """A prompt and how far apart the entries' scores on it are; None below two scores."""

    prompt_id: str
    task: str | None
    spread: float | None


def disputed_prompts(views: Views, question: Question) -> list[Disputed]:
    """Return the prompts that a question asks for, in its order."""
    rows = views.query(
        "disputed_prompts",
        study=question.study,
        entries=list(question.entries),
        seed_place=question.seed_place,
        metric=question.metric,
        task=question.task,
        holding=question.holding,
    )
    return [Disputed(row["prompt_id"], row["task"], row["spread"]) for row in rows]


def prompt_text(views: Views, study: str, prompt_id: str) -> str:
    """Return what a prompt says; nothing if the study does not ask it."""
    rows = views.query("prompt_texts", study=study, prompt_ids=[prompt_id])
    return rows[0]["prompt"] if rows else ""


def pictures(
    views: Views, study: str, prompt_ids: Sequence[str], seed_place: int = 1
) -> dict[tuple[str, str], Picture]:
    """Return the pictures of prompts at a seed place, by entry and prompt_id.

    Only the parts that hold them are read, and of these only what is asked for.
    """
    rows = views.query(
        "placed_samples", study=study, prompt_ids=list(prompt_ids), seed_place=seed_place
    )
    parts = {part for row in rows for part in row["parts"]}
    contents = stored_pngs(views, [row["sample_id"] for row in rows], parts)
    return {
        (row["entry"], row["prompt_id"]): Picture(
            row["sample_id"], row["seed"], contents.get(row["sample_id"])
        )
        for row in rows
    }


def stored_pngs(
    views: Views, sample_ids: Sequence[str], parts: Iterable[str]
) -> dict[str, bytes | None]:
    """Return the PNG files of samples by sample_id, from the parts that hold them."""
    # DuckDB takes the name of a local file for a pattern.
    names = [part if "://" in part else escape(part) for part in sorted(parts)]
    rows = views.query("pictures", sample_ids=sample_ids, parts=names) if names else []
    return {row["sample_id"]: row["png"] for row in rows}


def scores(
    views: Views, study: str, prompt_ids: Sequence[str], seed_place: int = 1
) -> dict[tuple[str, str], dict[str, float]]:
    """Return the scores of prompts at a seed place, by entry and prompt_id, then by metric."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in views.query(
        "sample_scores", study=study, prompt_ids=list(prompt_ids), seed_place=seed_place
    ):
        found.setdefault((row["entry"], row["prompt_id"]), {})[row["metric"]] = row["value"]
    return found
