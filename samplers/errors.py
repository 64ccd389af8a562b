"""The one exception type for mistakes that a user can make and mend."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 80  # characters that an error echoes of a value
MOST_NAMES = 12  # that an error lists; recipes have more keys


class InputError(ValueError):
    """Wrong input, told in one sentence that names the field, the value and what is allowed."""


def unknown(field: str, value: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that is not among `known`, with the nearest known name."""
    names, value = sorted(known), cut(value)
    nearest = get_close_matches(value, names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {_listed(names)}"
    return InputError(f"{field} {value!r} is unknown{hint}")


def _listed(names: list[str]) -> str:
    """Join names, the first of them where they are many."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"


class _Brief(reprlib.Repr):
    """Spells the start of a value, whatever its size: aliases make a short YAML text a huge one."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, LONGEST, LONGEST

    def repr_int(self, x: int, level: int) -> str:
        """Spell an integer; Python refuses to spell very long ones in decimal digits."""
        return super().repr_int(x, level) if x.bit_length() < 1024 else hex(x)


def cut(value: object) -> str:
    """Return a user's name in at most 80 characters, for an error; other values are spelled."""
    text = value if isinstance(value, str) else _Brief().repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def shown(value: object) -> str:
    """Return a user's value as Python spells it, in at most 80 characters, for an error."""
    return cut(_Brief().repr(value))
