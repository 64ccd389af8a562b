"""Recipe: one full set of inference design choices, immutable, validated, printable in one line.

A preset says how the parameters are read that a choice leaves open: `paper` follows the paper's
text, `official` what its released code does. It is resolved when the recipe is made, so the recipe
always holds every parameter in full, and two texts that mean the same have the same `recipe_id`.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bakeoff.samplers.choices import (
    LARGEST,
    LEAST_TEMPERATURE,
    MAX_STEPS,
    Differential,
    Jacobi,
    Momentum,
    Noise,
    Order,
    Parameters,
    Schedule,
    TemperatureSchedule,
    Zigzag,
)
from bakeoff.samplers.combinations import check_combination, check_family, check_length
from bakeoff.samplers.cost import row_evaluations, steps_within
from bakeoff.samplers.errors import InputError, cut, shown, unknown
from bakeoff.samplers.grid import expand
from bakeoff.samplers.recipe_text import number, pair, parse_line, parse_pair, quote

__all__ = [
    "Differential",
    "Jacobi",
    "Momentum",
    "Noise",
    "Order",
    "Recipe",
    "Schedule",
    "TemperatureSchedule",
    "Zigzag",
]

NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=MAX_STEPS)]
MOST_CODES = 10**9
SCALAR_END = 0.01  # where a masking temperature given as one number ends, as officially


class Recipe(BaseModel):
    """Every inference design choice of one image, for masked and autoregressive models alike.

    Some choices belong to one family of models; see `combinations.py`. `row_evaluations` may be
    given instead of `steps`: as many steps are taken as an image may cost network rows.
    `guidance_interval` (start, stop) and `argmax_from` count steps from 0, or the positions of an
    autoregressive model. The defaults are plain sampling without guidance.

    Raises:
        InputError: a key is unknown, a value is out of range, or choices cannot combine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    preset: Literal["paper", "official"] = "paper"
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance_scale: Annotated[float, Field(ge=1, le=LARGEST)] = 1.0
    guidance_schedule: Literal["constant", "linear"] = "constant"
    temperature: NotNegative = 1.0
    temperature_schedule: TemperatureSchedule | None = None
    masking_temperature: tuple[NotNegative, NotNegative] = (2.0, 0.0)
    schedule: Schedule = Schedule(name="cosine")
    order: Order = Order(rule="confidence")
    noise: Noise | None = None
    differential: Differential | None = None
    zigzag: Zigzag | None = None
    top_k: Annotated[int, Field(ge=1, le=MOST_CODES)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    drawn_mask: Literal["keep", "suppress", "remask"] = "keep"
    negative_prompt: str = ""
    argmax_from: Count | None = None
    guidance_interval: tuple[Count, Count] | None = None
    momentum: Momentum | None = None
    jacobi: Jacobi | None = None

    def __init__(self, **choices: Any) -> None:
        budget = choices.pop(BUDGET, None)
        if budget is not None:
            choices |= {"steps": _steps_within(budget, choices)}
        try:
            super().__init__(**_resolve(choices))
        except ValidationError as error:
            bought = "" if budget is None else _bought(choices["steps"], budget)
            raise _sentence(error, bought) from None

    @field_validator("temperature")
    @classmethod
    def _not_too_cold(cls, temperature: float) -> float:
        if 0 < temperature < LEAST_TEMPERATURE:
            raise ValueError(
                f"recipe temperature must be 0 or from {number(LEAST_TEMPERATURE)} to "
                f"{number(LARGEST)}, got {number(temperature)}"
            )
        return temperature

    @model_validator(mode="after")
    def _combine(self) -> Self:
        check_combination(self)
        return self

    @property
    def uses_unconditional(self) -> bool:
        """Whether any prediction looks at the empty or negative prompt."""
        inverting = self.zigzag is not None and self.zigzag.inverts
        return self.guidance_scale > 1 or (inverting and self.zigzag.guidance != 1)  # type: ignore[union-attr]

    def guidance_at(self, step: int, steps: int) -> float:
        """Return the guidance scale of a step's predictions: 1 outside `guidance_interval`.

        The inversion of Z-sampling has a scale of its own, which nothing here touches.
        """
        start, stop = self.guidance_interval or (0, MAX_STEPS)
        if not start <= step < stop:
            return 1.0
        if self.guidance_schedule == "constant":
            return self.guidance_scale
        return 1.0 + (self.guidance_scale - 1) * step / max(steps - 1, 1)

    def temperature_at(self, step: int, steps: int) -> float:
        """Return the token temperature of a masked model's step."""
        if self.temperature_schedule is None:
            return self.temperature
        return self.temperature_schedule.temperature(self.temperature, step, steps)

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

    @classmethod
    def grid(cls, **choices: Any) -> dict[str, Self]:
        """Return every combination of the choices' lists, by names; see `grid.py`.

        Raises:
            InputError: a combination is refused, which the sentence names, or there are too many.
        """
        for key in choices:
            if key not in (*cls.model_fields, BUDGET):
                raise unknown("grid key", cut(key), [*cls.model_fields, BUDGET])
        return expand(cls, choices)

    def to_dict(self) -> dict[str, Any]:
        """Return the choices that differ from the defaults, as plain values for YAML."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        return {key: _without_none(value) for key, value in plain.items()}

    def __str__(self) -> str:
        return " ".join(f"{name}={self.text_of(name)}" for name in self.changed)

    @property
    def changed(self) -> list[str]:
        """The fields that differ from the defaults, in their order."""
        fields = type(self).model_fields
        return [name for name in fields if getattr(self, name) != fields[name].default]

    def text_of(self, name: str) -> str:
        """Spell the value of a field."""
        value = getattr(self, name)
        if value is None:
            return "none"
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
            InputError: a choice does not apply to it or has no effect, or it needs one that is not
                there.
        """
        check_family(self, family)

    def check_length(self, tokens: int) -> None:
        """Check that no choice reaches beyond the tokens of an autoregressive model.

        Raises:
            InputError: a choice does.
        """
        check_length(self, tokens)


_SPECS: dict[str, type[Parameters]] = {
    "temperature_schedule": TemperatureSchedule,
    "schedule": Schedule,
    "order": Order,
    "noise": Noise,
    "differential": Differential,
    "zigzag": Zigzag,
    "momentum": Momentum,
    "jacobi": Jacobi,
}
PAIRS = ("masking_temperature", "guidance_interval")  # written start..end
BUDGET = "row_evaluations"  # no field: it is spent on steps when the recipe is made


def _resolve(choices: dict[str, Any]) -> dict[str, Any]:
    """Turn texts and mappings into full parameters, read as the preset says."""
    preset = choices.get("preset", "paper")
    if preset not in ("paper", "official"):
        raise unknown("recipe preset", cut(preset), ("paper", "official"))
    # What has a value by default cannot be nothing: null takes back what `like` gave it.
    fields = Recipe.model_fields
    resolved = {
        key: value
        for key, value in choices.items()
        if value is not None or key not in fields or fields[key].default is None
    }
    for name, spec in _SPECS.items():
        value = resolved.get(name)
        if value is not None and not isinstance(value, Parameters):
            resolved[name] = spec.read(value, preset)
    for name in PAIRS:
        value = resolved.get(name)
        if isinstance(value, str):
            resolved[name] = parse_pair(value)
        elif isinstance(value, list):
            resolved[name] = tuple(value)
    masking = resolved.get("masking_temperature")
    if isinstance(masking, int | float) and not isinstance(masking, bool):
        resolved["masking_temperature"] = (masking, SCALAR_END)
    return resolved


def _steps_within(budget: object, choices: dict[str, Any]) -> int:
    """Return the steps that the other choices can take for a number of row-evaluations."""
    if choices.get("steps") is not None:
        raise InputError("recipe row_evaluations takes the place of steps: give one of them")
    if type(budget) is not int or budget < 1:
        raise InputError(
            f"recipe row_evaluations must be a whole number from 1, got {shown(budget)}"
        )
    recipe = Recipe(**choices)
    if recipe.jacobi:
        raise InputError(
            "recipe jacobi cannot combine with row_evaluations: one is for autoregressive models, "
            "the other for masked ones"
        )
    if budget > (most := row_evaluations(recipe, MAX_STEPS)):
        raise InputError(
            f"recipe row_evaluations={shown(budget)} is too large: {MAX_STEPS} steps, the most "
            f"there are, cost {most}"
        )
    least = 2 if recipe.zigzag else 1
    steps = steps_within(recipe, budget, MAX_STEPS)
    if steps < least:
        cost = f"{least} steps cost" if least > 1 else "1 step costs"
        raise InputError(
            f"recipe row_evaluations={budget} is too small: {cost} {row_evaluations(recipe, least)}"
        )
    return steps


def _bought(steps: int, budget: int) -> str:
    """Return where steps came from that nobody wrote, for an error that names them."""
    return f" (the {steps} step{'s' if steps > 1 else ''} that {BUDGET}={budget} pays for)"


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if inner is not None}


def _sentence(error: ValidationError, bought: str) -> InputError:
    """Return the first of pydantic's errors as one sentence; `bought` explains its steps."""
    first = error.errors()[0]
    path, value, kind = first["loc"], first["input"], first["type"]
    where = "recipe " + ".".join(cut(part) for part in path)
    if kind == "extra_forbidden":
        if len(path) == 1:
            return unknown("recipe key", cut(path[-1]), [*Recipe.model_fields, BUDGET])
        return unknown(f"recipe {path[0]}", cut(path[-1]), _SPECS[str(path[0])].model_fields)
    if kind == "literal_error":
        allowed = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return unknown(where, cut(value), allowed)
    if kind == "missing":
        return InputError(f"{where} is missing")
    if kind == "value_error":
        reason = str(first["ctx"]["error"])
        return InputError(reason + bought if " steps=" in reason else reason)
    return InputError(
        f"{where} {first['msg'].replace('Input should be', 'must be')}, got {shown(value)}"
    )
