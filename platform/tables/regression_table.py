"""What a gate found, as a table and a sentence."""

from collections.abc import Sequence

from bakeoff.platform.conclusions.regression import Check, Gate
from bakeoff.platform.tables.folding_table import Cell, Column, FoldingTable, Line
from bakeoff.platform.tables.leaderboard_table import NOTHING


def table_of(found: Gate) -> FoldingTable:
    """Return the checks, a line each, with n and interval where there are any."""
    each = found.checks
    return FoldingTable(
        f"Study {found.study} against its baseline",
        [Line(check.entry, f" {check.measure}") for check in each],
        [
            Column("n", [(_count(check), "") for check in each]),
            Column("now", [(_figure(c, c.value), "") for c in each]),
            Column("baseline", [(_figure(c, c.baseline), "") for c in each]),
            Column("difference", [_difference(c) for c in each]),
            Column("check", [(c.state, c.remark) for c in each]),
        ],
    )


def sentence(found: Gate) -> str:
    """Say what all checks come to, and why."""
    limits = found.limits
    rules = [f"means may be {limits.equivalent:g} worse"]
    rules += [
        f"{name} may grow by {limit:.1%}"
        for name, limit in (("s/img", limits.latency), ("memory", limits.memory))
        if limit is not None
    ]
    count = sum(check.state == found.state for check in found.checks)
    told = f"{count} of {len(found.checks)} checks"
    undecided = [check for check in found.checks if check.state == found.state == "undecided"]
    if any(check.difference for check in undecided):
        told += ", which takes more prompts or a wider margin"
    missing = _missing("in the baseline only", found.only_baseline)
    return f"{found.state}: {told}; {', '.join(rules)}.{missing}" + _missing(
        "not in the baseline", found.only_here
    )


def _missing(where: str, names: Sequence[str]) -> str:
    return f" Not compared, as {where}: {', '.join(names)}." if names else ""


def _count(check: Check) -> str:
    return str(check.difference.prompts) if check.difference else NOTHING


def _figure(check: Check, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value / 1e6:.0f} MB" if check.measure == "memory" else f"{value:.4g}"


def _difference(check: Check) -> Cell:
    found = check.difference
    if found is None:
        return NOTHING, ""
    interval = "..".join(f"{limit:+.4f}" for limit in found.interval or ())
    return f"{found.value:+.4f}", interval
