"""The one-line text form of a recipe: `key=value` words, values `head(arguments)`."""

import json
import re
from collections.abc import Sequence
from typing import Any

from bakeoff.samplers.errors import InputError, cut, shown

_WORD = re.compile(r"""\s*([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|[^\s"()]+(?:\([^()"]*\))?)(?=\s|$)""")
_CALL = re.compile(r"\s*([^\s()]+)\s*(?:\(([^()]*)\)\s*)?")
_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LONGEST_NUMBER = 100  # characters; of some thousands Python makes no integer
BOOLEANS = {"true": True, "false": False}  # as YAML spells them; `bool("false")` would be true


def parse_line(text: str) -> dict[str, Any]:
    """Split `key=value key=value ...` into a mapping; a value in double quotes is a JSON string.

    Raises:
        InputError: a word is not `key=value`, or a key comes twice.
    """
    values: dict[str, Any] = {}
    text = text.strip()
    place = 0
    while place < len(text):
        word = _WORD.match(text, place)
        if word is None:
            rest = shown(text[place:].strip())
            raise InputError(f"recipe text must be words key=value, stopped at {rest}")
        key, value = word.groups()
        if key in values:
            raise InputError(f"recipe key {shown(key)} comes twice in {shown(text)}")
        values[key] = _unquote(value) if value.startswith('"') else atom(value)
        place = word.end()
    return values


def parse_call(value: object, names: Sequence[str]) -> dict[str, Any]:
    """Read `head` or `head(argument, name=argument)` as parameters; `names` gives their order.

    Raises:
        InputError: the text has another form, or an argument comes twice.
    """
    if not isinstance(value, str):
        return {names[0]: value}
    match = _CALL.fullmatch(value)
    if match is None:
        raise InputError(f"recipe value must have the form name(arguments), got {shown(value)}")
    parameters: dict[str, Any] = {names[0]: atom(match[1])}
    arguments = (match[2] or "").split(",") if (match[2] or "").strip() else []
    for place, argument in enumerate(arguments, start=1):
        name, equals, inner = argument.strip().rpartition("=")
        if not equals:
            if place >= len(names):
                raise InputError(f"recipe value {shown(value)} has too many arguments")
            name = names[place]
        if name in parameters:
            raise InputError(f"recipe value {shown(value)} gives {shown(name)} twice")
        parameters[name] = BOOLEANS.get(inner, atom(inner))
    return parameters


def parse_pair(text: str) -> Any:
    """Read `start..end` as a pair of numbers; other texts stay as they are."""
    start, dots, end = text.partition("..")
    return (atom(start), atom(end)) if dots else atom(text)


def atom(text: str) -> int | float | str:
    """Return the number that a text spells, or the text itself."""
    if len(text) > LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def number(value: float) -> str:
    """Spell a number as short as it reads back exactly."""
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return str(int(value)) if whole else repr(value)


def word(value: bool | float | str) -> str:
    """Spell a boolean, a number or a name."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else number(value)


def pair(start: float, end: float) -> str:
    """Spell a pair of numbers as `start..end`."""
    return f"{number(start)}..{number(end)}"


def call(head: float | str, arguments: Sequence[str]) -> str:
    """Spell `head(arguments)`, or the head alone."""
    shown = head if isinstance(head, str) else number(head)
    return f"{shown}({','.join(arguments)})" if arguments else shown


def quote(text: str) -> str:
    """Spell a text as a JSON string."""
    return json.dumps(text)


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        raise InputError(f"recipe text {cut(text)} is not a valid quoted string") from None
