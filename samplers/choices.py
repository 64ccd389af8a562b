"""The design choices that have parameters: what may be said, and what it means."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bakeoff.samplers.recipe_text import call, number, parse_call, word

MAX_STEPS = 4096  # as many as the tokens of the largest picture: more could not each reveal one
LEAST_TEMPERATURE = 1e-3  # besides 0: logits that are divided by less leave float32
LARGEST = 1e3  # of any scale or amplitude: far beyond use, and far from what float32 cannot hold
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Parameters(BaseModel):
    """A choice with parameters; its first field is the head of its text form `head(arguments)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    ARGUMENT: ClassVar[str | None] = None  # the parameter that is always printed, without its name
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "official": {}}

    @classmethod
    def read(cls, value: object, preset: str) -> dict[str, Any]:
        """Return the parameters of a number, a text or a mapping, filled up from the preset."""
        given = value if isinstance(value, Mapping) else parse_call(value, list(cls.model_fields))
        return {**cls.PRESETS[preset], **given}

    @property
    def changed(self) -> list[str]:
        """The parameters that differ from their defaults, in their order."""
        fields = type(self).model_fields
        return [name for name in fields if getattr(self, name) != fields[name].default]

    def text(self, preset: str) -> str:
        """Return `head(arguments)` without the arguments that the preset implies."""
        head, *rest = type(self).model_fields
        defaults = {name: type(self).model_fields[name].default for name in rest}
        defaults |= self.PRESETS[preset]
        arguments = []
        for name in rest:
            value = getattr(self, name)
            if name == self.ARGUMENT and value is not None:
                arguments.append(number(value))
            elif value != defaults[name]:
                arguments.append(f"{name}={word(value)}")
        return call(getattr(self, head), arguments)


POWERS = {"karras_a": "pow_one_minus_t", "karras_b": "one_minus_t_pow"}


class Schedule(Parameters):
    """Mask ratio over time: how many tokens stay masked after each step.

    The two Karras forms fall from `begin` to `end`; from 1 to 0 they are the plain powers of t,
    and become them. The `p` of `log` and `exp` is the base-2 logarithm of the number of tokens.
    `counts` says how the curve becomes numbers of tokens; see `schedules.py`.
    """

    ARGUMENT = "p"
    name: Literal[
        "cosine",
        "linear",
        "arccos",
        "log",
        "exp",
        "pow_one_minus_t",
        "one_minus_t_pow",
        "karras_a",
        "karras_b",
    ]
    p: Positive | None = None
    begin: Ratio = 1.0
    end: Ratio = 0.0
    counts: Literal["masked", "revealed", "inclusive", "increments"] = "masked"

    @model_validator(mode="before")
    @classmethod
    def _name_powers(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("p") is None:
            return given
        whole = given.get("begin", 1) == 1 and given.get("end", 0) == 0
        name = str(given.get("name"))
        return {**given, "name": POWERS[name]} if whole and name in POWERS else given

    @model_validator(mode="after")
    def _fit(self) -> Self:
        karras = self.name in POWERS
        powers = {**dict.fromkeys((*POWERS, *POWERS.values()), 0.6), "log": 8, "exp": 8}
        if self.name in powers and self.p is None:
            example = f"{self.name}({number(powers[self.name])})"
            raise ValueError(f"recipe schedule {self.name!r} needs its power, as {example}")
        if self.name not in powers and self.p is not None:
            raise ValueError(f"recipe schedule {self.name!r} takes no power, got {number(self.p)}")
        if not karras and (self.begin, self.end) != (1, 0):
            raise ValueError(
                f"recipe schedule {self.name!r} takes no begin and end: karras_a and karras_b do"
            )
        if self.begin <= self.end:
            raise ValueError(
                f"recipe schedule begin={number(self.begin)} must be above end={number(self.end)}: "
                "the mask ratio falls"
            )
        return self


class Order(Parameters):
    """Unmasking order: which of the drawn tokens stay.

    `confidence` keeps the most probable, with masking noise; `halton` goes through the picture
    along Halton's sequence, which `roll` starts anywhere, image by image; `random` keeps any. Of
    tokens that are known already, `known` says whether they are drawn anew in every step, as the
    confidence sampler of Halton-MaskGIT does.
    """

    rule: Literal["confidence", "halton", "random"]
    roll: bool = False
    known: Literal["keep", "redraw"] = "keep"

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.roll and self.rule != "halton":
            raise ValueError(f"recipe order roll has no effect with {self.rule}: halton rolls")
        return self


class TemperatureSchedule(Parameters):
    """Token temperature over the steps: from `temperature` to `end`, or the same in all of them.

    It is the factor on the logits, one over the temperature, that goes straight; in the first
    `warmup` steps that factor is halved.
    """

    rule: Literal["constant", "linear"]
    end: Annotated[float, Field(ge=LEAST_TEMPERATURE, le=LARGEST)] | None = None
    warmup: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.rule == "linear" and self.end is None:
            raise ValueError("recipe temperature_schedule linear needs its end, as linear(0.8)")
        if self.rule == "constant" and self.end is not None:
            raise ValueError("recipe temperature_schedule constant takes no end: linear does")
        if self.rule == "constant" and not self.warmup:
            raise ValueError(
                "recipe temperature_schedule constant has no effect without warmup, "
                "as constant(warmup=1)"
            )
        return self

    def temperature(self, start: float, step: int, steps: int) -> float:
        """Return the temperature of a step."""
        factor = 1 / start
        if self.end is not None:
            factor += (1 / self.end - factor) * step / max(steps - 1, 1)
        return (2 if step < self.warmup else 1) / factor


class Noise(Parameters):
    """Noise regularization: normal noise on the guided logits, its deviation a curve of time."""

    ARGUMENT = "amplitude"
    PRESETS = {"paper": {"amplitude": 1.0}, "official": {"amplitude": 2.0}}
    curve: Literal[
        "abs_cos",
        "half_abs_cos",
        "half_then_full",
        "full_then_half",
        "const",
        "linear_down",
        "linear_up",
        "sin",
    ]
    amplitude: Positive


class Differential(Parameters):
    """Differential sampling: redraw the tokens whose distribution changed least.

    `pool` is what the percentage is of; `carry` what the next prediction is compared with, before
    the redraw or after it; `last` treats the last step, too. Where Z-sampling predicts a step
    twice, `compare` takes the change from call to call, or from the step before.
    """

    PRESETS = {
        "paper": {"rule": "abs", "carry": "raw"},
        "official": {"rule": "positive", "carry": "modified"},
    }
    percent: Annotated[float, Field(gt=0, le=100)]
    rule: Literal["abs", "positive"]
    carry: Literal["raw", "modified"]
    pool: Literal["all", "masked"] = "all"
    last: bool = False
    compare: Literal["calls", "steps"] = "calls"


class Zigzag(Parameters):
    """Z-sampling: mask tokens again after a step, and take the step a second time.

    `guidance` is the scale of the inversion's prediction. It happens in the steps from `start` to
    before `stop`, by default in all but the last, from which there is no way back.
    """

    PRESETS = {"paper": {"rule": "low_token_prob"}, "official": {"rule": "high_max_prob"}}
    rule: Literal["low_token_prob", "high_max_prob", "random", "recover"]
    guidance: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] = 0.0
    start: Annotated[int, Field(ge=0, le=MAX_STEPS)] = 0
    stop: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None

    @classmethod
    def read(cls, value: object, preset: str) -> dict[str, Any]:
        """As for every choice; the rule `masked` is the preset's reading of masked Z-sampling."""
        given = super().read(value, preset)
        return {**given, **cls.PRESETS[preset]} if given["rule"] == "masked" else given

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"recipe zigzag stop={self.stop} must be above start={self.start}")
        return self

    @property
    def inverts(self) -> bool:
        """Whether the rule needs a prediction of its own to choose the tokens."""
        return self.rule in ("low_token_prob", "high_max_prob")

    def turns(self, step: int, steps: int) -> bool:
        """Whether it goes back after a step of `steps`."""
        last = steps - 1
        return self.start <= step < (last if self.stop is None else min(self.stop, last))


class Momentum(Parameters):
    """Momentum solver of order 1 or 2: the steps of an ordinary differential equation.

    Order 2 extrapolates from the step before to this one, by at most `cap` times their difference,
    in `space`; the rule `paper_literal` takes Eq. 4 with the sign that is printed there. `pool` is
    what it reveals the most confident of. See `momentum.py`.
    """

    order: Annotated[int, Field(ge=1, le=2)]
    cap: Positive = 1.0
    rule: Literal["derived", "paper_literal"] = "derived"
    pool: Literal["masked", "all"] = "masked"
    space: Literal["probabilities", "logits"] = "probabilities"

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.order == 1 and self.rule != "derived":
            raise ValueError(
                "recipe momentum rule=paper_literal needs order 2: order 1 is the same"
            )
        changed = [name for name in self.changed if name in ("cap", "space")]
        if changed and (self.order == 1 or self.rule == "paper_literal"):
            raise ValueError(
                f"recipe momentum {changed[0]} has no effect: only order 2 with rule=derived "
                "extrapolates"
            )
        return self


class Jacobi(Parameters):
    """Speculative Jacobi decoding: predict `window` positions in each pass, keep what holds."""

    window: Annotated[int, Field(ge=2, le=MAX_STEPS)]
