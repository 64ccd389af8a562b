"""When a run until decided stops, and what its store says of that."""

from collections.abc import Mapping
from dataclasses import dataclass

from bakeoff.platform.queries.views import Views
from bakeoff.samplers.errors import InputError, shown


@dataclass(frozen=True)
class Rule:
    """When to stop: `level` is the share of studies in which any comparison may be decided wrongly.

    With a margin, what surely lies within ½ ± `equivalent` is decided, too.

    Raises:
        InputError: either is out of its range.
    """

    level: float
    equivalent: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(
                f"until_decided must lie between 0 and 1, got {shown(self.level)}: 0.05 errs in "
                "5 % of studies"
            )
        check_margin(self.equivalent)


@dataclass(frozen=True)
class Stopping:
    """That a study was run until decided: by which rule, and how far into its prompts.

    `open` are the entries that a run would go on with.
    """

    rule: Rule
    prompts: int  # of the study
    asked: Mapping[str, int]  # prompts by entry, from the first on
    open: tuple[str, ...] = ()


def check_margin(equivalent: float | None) -> None:
    """Check a margin of win rates that do not matter.

    Raises:
        InputError: it is no share of wins.
    """
    if equivalent is not None and not 0 < equivalent < 0.5:
        raise InputError(
            f"equivalent must be a share of wins between 0 and 0.5, got {equivalent:g}"
        )


def read_stopping(views: Views, study: str) -> Stopping | None:
    """Return how the newest run of a study stopped; None if its prompts were fixed beforehand."""
    for row in views.query("stopping", study=study):
        if row["until_decided"] is not None:
            asked = dict(zip(row["entries"], row["asked"], strict=True))
            rule = Rule(row["until_decided"], row["equivalent"])
            return Stopping(rule, row["prompts"], asked)
    return None
