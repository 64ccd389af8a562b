"""The entry that a study chooses, and whether prompts that had no say in it confirm the choice.

The best of many entries owes part of its lead to the prompts that it was chosen on. With `split:` a
study chooses on some prompts and confirms on the others; without, the leaderboard says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from bakeoff.platform.conclusions.comparisons import Comparison, comparisons, meetings
from bakeoff.platform.conclusions.comparisons import compared as judged
from bakeoff.platform.queries.views import Views
from bakeoff.platform.studies.study_file import parse_study
from bakeoff.samplers.errors import InputError


@dataclass(frozen=True)
class Confirmation:
    """The entry with the highest win rate over the baseline, chosen among some on so many prompts.

    `comparison` is the one on the other prompts, alone in its family; None without a split.
    """

    entry: str
    candidates: int
    prompts: int
    comparison: Comparison | None


def confirmation(
    views: Views,
    study: str,
    metric: str,
    baseline: str,
    candidates: Sequence[str],
    compared: Sequence[Comparison],
    equivalent: float | None = None,
) -> Confirmation | None:
    """Return the entry chosen of candidates; None where none beats the baseline.

    `compared` are the comparisons on all prompts, which decide where the study has no split.
    """
    share = _share(views, study)
    if share is None:
        return _chosen(compared, candidates)
    prompts = [row["prompt_id"] for row in views.query("study_prompts", study=study)]
    first = [prompt for prompt in prompts if is_for_choosing(study, prompt, share)]
    rest = [prompt for prompt in prompts if not is_for_choosing(study, prompt, share)]
    found = _chosen(
        comparisons(views, study, metric, opponent=baseline, prompt_ids=first), candidates
    )
    if found is None:
        return None
    met = meetings(views, study, metric, entry=found.entry, opponent=baseline, prompt_ids=rest)
    return replace(found, comparison=next(iter(judged(met, equivalent)), None))


def _chosen(made: Sequence[Comparison], candidates: Sequence[str]) -> Confirmation | None:
    rates = {
        one.entry: one.wins.estimate
        for one in made
        if one.entry in candidates and one.wins.estimate
    }
    best = max(rates, key=lambda entry: rates[entry].value, default=None)
    if best is None or rates[best].value <= 0.5:
        return None
    if len(rates) == 1 or sum(one.value == rates[best].value for one in rates.values()) > 1:
        return None  # one alone, or one of two as good, was not chosen by its scores
    return Confirmation(best, len(rates), rates[best].prompts, None)


def is_for_choosing(study: str, prompt_id: str, share: float) -> bool:
    """Whether a prompt is among the share that a study chooses on: by a hash, and so for good."""
    digest = sha256(f"{study}\n{prompt_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _share(views: Views, study: str) -> float | None:
    (row,) = views.query("study_text", study=study)
    try:
        split = parse_study(row["text"] or "", "stored study").split
    except InputError:  # of another version
        return None
    return split.chosen if split else None
