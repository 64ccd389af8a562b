"""What keeps a file of a store from being read, in words."""

from typing import NamedTuple

from bakeoff.platform.store.places import Place
from bakeoff.samplers.errors import InputError


class Fault(NamedTuple):
    """A file that keeps a store from being read; ours are remade by a run once they are gone."""

    file: Place
    problem: str
    is_ours: bool


def damaged(part: Place, error: Exception) -> Fault:
    """Return the fault of a part that an error kept from being read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Fault(part, f"is damaged or half written ({reason})", True)


def refusal(fault: Fault) -> InputError:
    """Return the error for a store with a fault."""
    remedy = (
        "`bakeoff verify` moves it away, and the next run makes its rows again"
        if fault.is_ours
        else "move it away"
    )
    return InputError(f"store file {fault.file} {fault.problem}; {remedy}")
