"""Recipe: one full set of inference design choices, immutable, validated, printable in one line.

A preset says how the parameters are read that a choice leaves open: `paper` follows the paper's
text, `official` what its released code does. It is resolved when the recipe is made, so the recipe
always holds every parameter in full, and two texts that mean the same have the same `recipe_id`.
"""

import reprlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bakeoff.samplers.choices import (
    MASKED_ONLY,
    Differential,
    Noise,
    Parameters,
    Schedule,
    Zigzag,
)
from bakeoff.samplers.errors import InputError, unknown
from bakeoff.samplers.recipe_text import number, pair, parse_line, parse_pair, quote

__all__ = ["MASKED_ONLY", "Differential", "Noise", "Recipe", "Schedule", "Zigzag", "cut", "shown"]

LONGEST = 80  # characters that an error echoes of a value
NotNegative = Annotated[float, Field(ge=0)]
MAX_STEPS = 4096  # as many as the tokens of the largest picture: a step reveals one at least
SCALAR_END = 0.01  # where a masking temperature given as one number ends, as officially


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


class Recipe(BaseModel):
    """Every inference design choice of one image, for masked and autoregressive models alike.

    `steps`, `schedule`, `masking_temperature` (start, end), `zigzag` and `negative_prompt` belong
    to masked models; see `check_family`. The defaults are plain sampling without guidance.

    Raises:
        InputError: a key is unknown, a value is out of range, or choices cannot combine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    preset: Literal["paper", "official"] = "paper"
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance_scale: Annotated[float, Field(ge=1)] = 1.0
    temperature: NotNegative = 1.0
    masking_temperature: tuple[NotNegative, NotNegative] = (2.0, 0.0)
    schedule: Schedule = Schedule(name="cosine")
    noise: Noise | None = None
    differential: Differential | None = None
    zigzag: Zigzag | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    negative_prompt: str = ""

    def __init__(self, **choices: Any) -> None:
        try:
            super().__init__(**_resolve(choices))
        except ValidationError as error:
            raise _sentence(error) from None

    @model_validator(mode="after")
    def _combine(self) -> Self:
        if self.zigzag and self.steps is not None:
            if self.steps < 2:
                raise ValueError("recipe zigzag needs at least 2 steps: the last has no way back")
            if self.zigzag.first is not None and self.zigzag.first >= self.steps:
                raise ValueError(
                    f"recipe zigzag first={self.zigzag.first} must be below steps={self.steps}: "
                    "the last step has no way back"
                )
        if self.differential and self.zigzag and self.zigzag.rule == "recover":
            raise ValueError(
                "recipe differential cannot combine with zigzag rule=recover: the second draw has "
                "the same prediction as the first, so there is no change to draw from"
            )
        if self.negative_prompt and not self.uses_unconditional:
            raise ValueError(
                "recipe negative_prompt has no effect without guidance: "
                "set guidance_scale above 1 or leave it out"
            )
        return self

    @property
    def uses_unconditional(self) -> bool:
        """Whether any prediction looks at the empty or negative prompt."""
        inverting = self.zigzag is not None and self.zigzag.inverts
        return self.guidance_scale > 1 or (inverting and self.zigzag.guidance != 1)  # type: ignore[union-attr]

    @property
    def recipe_id(self) -> str:
        """A hash of what the recipe does; which preset spelled it does not matter."""
        return sha256(str(self.model_copy(update={"preset": "paper"})).encode()).hexdigest()[:16]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the one-line form, as `steps=16 guidance_scale=2 noise=abs_cos(1)`."""
        return cls(**parse_line(text))

    @classmethod
    def from_dict(cls, choices: object) -> Self:
        """Read the mapping of a YAML file; choices with parameters may be texts or mappings."""
        if not isinstance(choices, Mapping) or not all(isinstance(key, str) for key in choices):
            raise InputError(f"recipe must be a mapping of choices to values, got {shown(choices)}")
        return cls(**choices)

    def to_dict(self) -> dict[str, Any]:
        """Return the choices that differ from the defaults, as plain values for YAML."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        return {key: _without_none(value) for key, value in plain.items()}

    def __str__(self) -> str:
        return " ".join(f"{name}={self._text(name)}" for name in self.changed)

    @property
    def changed(self) -> list[str]:
        """The fields that differ from the defaults, in their order."""
        fields = type(self).model_fields
        return [name for name in fields if getattr(self, name) != fields[name].default]

    def _text(self, name: str) -> str:
        value = getattr(self, name)
        if isinstance(value, Parameters):
            return value.text(self.preset)
        if isinstance(value, tuple):
            return pair(*value)
        if name == "negative_prompt":
            return quote(value)
        return value if isinstance(value, str) else number(value)

    def check_family(self, family: str) -> None:
        """Check that every choice means something to a family of models.

        Raises:
            InputError: a choice does not apply to it, or it needs one that is not there.
        """
        if family not in FAMILIES:
            raise unknown("family", family, FAMILIES)
        if family == "masked":
            if self.steps is None:
                raise InputError("recipe steps is missing: masked models need it, as steps=16")
            return
        for name in self.changed:
            if name in MASKED_ONLY:
                raise InputError(
                    f"recipe {name}={self._text(name)} does not apply to autoregressive models: "
                    f"{MASKED_ONLY[name]}"
                )
        if self.differential and self.differential.pool == "masked":
            raise InputError(
                "recipe differential pool=masked does not apply to autoregressive models: "
                "they have no masked tokens"
            )


FAMILIES = ("masked", "autoregressive")
_SPECS: dict[str, type[Parameters]] = {
    "schedule": Schedule,
    "noise": Noise,
    "differential": Differential,
    "zigzag": Zigzag,
}


def _resolve(choices: dict[str, Any]) -> dict[str, Any]:
    """Turn texts and mappings into full parameters, read as the preset says."""
    preset = choices.get("preset", "paper")
    if preset not in ("paper", "official"):
        raise unknown("recipe preset", cut(preset), ("paper", "official"))
    resolved = dict(choices)
    for name, spec in _SPECS.items():
        value = choices.get(name)
        if value is not None and not isinstance(value, Parameters):
            resolved[name] = spec.read(value, preset)
    masking = choices.get("masking_temperature")
    if isinstance(masking, str):
        masking = parse_pair(masking)
    if isinstance(masking, int | float) and not isinstance(masking, bool):
        masking = (masking, SCALAR_END)
    if masking is not None:
        resolved["masking_temperature"] = tuple(masking) if isinstance(masking, list) else masking
    return resolved


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if inner is not None}


def _sentence(error: ValidationError) -> InputError:
    """Return the first of pydantic's errors as one sentence."""
    first = error.errors()[0]
    path, value, kind = first["loc"], first["input"], first["type"]
    where = "recipe " + ".".join(cut(part) for part in path)
    if kind == "extra_forbidden":
        owner = Recipe if len(path) == 1 else _SPECS[str(path[0])]
        return unknown(
            f"recipe {'key' if len(path) == 1 else path[0]}", cut(path[-1]), owner.model_fields
        )
    if kind == "literal_error":
        allowed = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return unknown(where, cut(value), allowed)
    if kind == "missing":
        return InputError(f"{where} is missing")
    if kind == "value_error":
        return InputError(str(first["ctx"]["error"]))
    return InputError(
        f"{where} {first['msg'].replace('Input should be', 'must be')}, got {shown(value)}"
    )
