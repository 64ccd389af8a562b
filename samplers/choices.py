"""The design choices that a recipe combines: parameters, meaning and cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bakeoff.samplers.recipe_text import call, number, parse_call

Positive = Annotated[float, Field(gt=0)]


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
                shown = value if isinstance(value, str) else number(value)
                arguments.append(f"{name}={shown}")
        return call(getattr(self, head), arguments)


class Schedule(Parameters):
    """Mask ratio over time: how many tokens stay masked after each step."""

    ARGUMENT = "p"
    name: Literal["cosine", "linear", "pow_one_minus_t", "one_minus_t_pow"]
    p: Positive | None = None

    @model_validator(mode="after")
    def _power(self) -> Self:
        powered = self.name in ("pow_one_minus_t", "one_minus_t_pow")
        if powered and self.p is None:
            raise ValueError(f"recipe schedule {self.name!r} needs its power, as {self.name}(0.6)")
        if not powered and self.p is not None:
            raise ValueError(f"recipe schedule {self.name!r} takes no power, got {number(self.p)}")
        return self


class Noise(Parameters):
    """Noise regularization: normal noise on the guided logits, its deviation a curve of time."""

    ARGUMENT = "amplitude"
    PRESETS = {"paper": {"amplitude": 1.0}, "official": {"amplitude": 2.0}}
    curve: Literal["abs_cos", "half_abs_cos", "half_then_full", "full_then_half"]
    amplitude: Positive


class Differential(Parameters):
    """Differential sampling: redraw the tokens whose distribution changed least."""

    PRESETS = {
        "paper": {"rule": "abs", "carry": "raw"},
        "official": {"rule": "positive", "carry": "modified"},
    }
    percent: Annotated[float, Field(gt=0, le=100)]
    rule: Literal["abs", "positive"]
    carry: Literal["raw", "modified"]
    pool: Literal["all", "masked"] = "all"


class Zigzag(Parameters):
    """Z-sampling: mask tokens again after a step, and take the step a second time.

    `guidance` is the scale of the inversion's prediction; `first` limits it to the first k steps.
    """

    PRESETS = {"paper": {"rule": "low_token_prob"}, "official": {"rule": "high_max_prob"}}
    rule: Literal["low_token_prob", "high_max_prob", "random", "recover"]
    guidance: float = 0.0
    first: Annotated[int, Field(ge=1)] | None = None

    @classmethod
    def read(cls, value: object, preset: str) -> dict[str, Any]:
        """As for every choice; the rule `masked` is the preset's reading of masked Z-sampling."""
        given = super().read(value, preset)
        return {**given, **cls.PRESETS[preset]} if given["rule"] == "masked" else given

    @property
    def inverts(self) -> bool:
        """Whether the rule needs a prediction of its own to choose the tokens."""
        return self.rule in ("low_token_prob", "high_max_prob")


MASKED_ONLY = {
    "steps": "they take one step for each token",
    "masking_temperature": "they never mask a token again",
    "schedule": "they reveal one token after another",
    "zigzag": "they have no inversion, a drawn token stays",
    "negative_prompt": "their unconditional input is learned",
}


class Cost(NamedTuple):
    """Row-evaluations per image as a function of the number of steps N: per_step N + once."""

    per_step: int
    once: int = 0

    def __call__(self, steps: int) -> int:
        """Return the row-evaluations at a number of steps."""
        return self.per_step * steps + self.once

    def __str__(self) -> str:
        linear = "N" if self.per_step == 1 else f"{self.per_step}N"
        constant = f"{self.once:+d}".replace("-", "−") if self.once else ""
        return f"{linear}{constant}" if self.per_step else "0"


FREE = Cost(0)


@dataclass(frozen=True)
class Choice:
    """One choice as people meet it.

    `example` is its recipe text; `source` the paper's section, or whose it is otherwise; `cost` the
    row-evaluations that it adds to a masked model's plain sampling with guidance, which takes 2N.
    """

    example: str
    line: str
    source: str
    cost: Cost = FREE

    @property
    def field(self) -> str:
        """The recipe's key."""
        return self.example.partition("=")[0]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of models it applies to."""
        return ("masked",) if self.field in MASKED_ONLY else ("masked", "autoregressive")


CHOICES = (
    Choice("preset=official", "Reads what other choices leave open as the released code does", "–"),
    Choice("steps=16", "Number of steps N in which a masked model fills the picture", "2"),
    Choice("guidance_scale=2", "Classifier-free guidance; 1 is without and halves the cost", "2"),
    Choice("temperature=0.9", "Sharpens the draw of tokens; 0 takes the likeliest", "–"),
    Choice("masking_temperature=3..0", "Noise on which drawn tokens stay, start to end", "2"),
    Choice("schedule=cosine", "Mask ratio cos(πt/2): few tokens first, many at the end", "2"),
    Choice("schedule=linear", "Mask ratio 1 − t: equally many tokens in every step", "2"),
    Choice("schedule=pow_one_minus_t(0.6)", "Mask ratio (1 − t)^p", "3.1"),
    Choice("schedule=one_minus_t_pow(0.6)", "Mask ratio 1 − t^p; p < 1: most tokens first", "3.1"),
    Choice("noise=abs_cos(1)", "Noise regularization: a·|cos πt| of noise on the logits", "3.3"),
    Choice("noise=half_abs_cos(1)", "The same with half the amplitude", "3.3"),
    Choice("noise=half_then_full(1)", "Half of it before the middle, all after it", "3.3"),
    Choice("noise=full_then_half(1)", "All of it before the middle, half after it", "3.3"),
    Choice("differential=75", "Redraws the percentage of tokens that changed least", "3.4"),
    Choice(
        "zigzag=low_token_prob",
        "Masked Z-sampling: masks the least likely tokens again and repeats the step",
        "3.2",
        Cost(3, -3),
    ),
    Choice(
        "zigzag=high_max_prob",
        "The released code's Z-sampling: masks where the prediction is surest",
        "released code",
        Cost(3, -3),
    ),
    Choice(
        "zigzag=random",
        "Vanilla Z-sampling: masks random tokens again and repeats the step",
        "9.3",
        Cost(2, -2),
    ),
    Choice("zigzag=recover", "Repeats the draw of each step from the same prediction", "9.3"),
    Choice("top_k=100", "Draws from the k likeliest tokens only", "–"),
    Choice("top_p=0.9", "Draws from the likeliest tokens that hold probability p", "–"),
    Choice('negative_prompt="blurry"', "What guidance leads away from, instead of nothing", "–"),
)
