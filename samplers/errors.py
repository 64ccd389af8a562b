"""The one exception type for mistakes that a user can make and mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Wrong input, told in one sentence that names the field, the value and what is allowed."""


def unknown(field: str, value: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not among `known`, with the nearest known name."""
    names = sorted(known)
    nearest = get_close_matches(value, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(names)}"
    return InputError(f"{field} {value!r} is unknown{hint}")
