"""The choices of a recipe as people meet them: one line each, the source and the cost."""

from dataclasses import dataclass
from typing import NamedTuple

from bakeoff.samplers.combinations import FAMILIES, misfit, why_not
from bakeoff.samplers.cost import row_evaluations, token_evaluations
from bakeoff.samplers.recipe import BUDGET, Recipe


class Cost(NamedTuple):
    """Row-evaluations per image as a function of the number of steps or tokens N."""

    per_step: int
    once: int = 0

    def __call__(self, steps: int) -> int:
        """Return the row-evaluations at a number of steps or tokens."""
        return self.per_step * steps + self.once

    def __str__(self) -> str:
        linear = {0: "", 1: "+N", -1: "-N"}.get(self.per_step, f"{self.per_step:+d}N")
        constant = f"{self.once:+d}" if self.once else ""
        return (linear + constant).replace("-", "−") or "0"


FREE = Cost(0)
OURS = "not in the paper"
JAX, PYTORCH, HALTON = "MaskGIT", "MaskGIT in PyTorch", "Halton-MaskGIT"
LONG = 64  # steps or tokens from which on the cost of the examples is linear in them
COUNTS = {
    "masked": row_evaluations,
    "autoregressive": token_evaluations,
    "diffusion": row_evaluations,
}


@dataclass(frozen=True)
class Choice:
    """One choice as people meet it.

    `example` is its recipe text; `source` the paper's section, or whose it is otherwise.
    """

    example: str
    line: str
    source: str

    @property
    def field(self) -> str:
        """The recipe's key."""
        return self.example.partition("=")[0]

    @property
    def families(self) -> tuple[str, ...]:
        """The families of models it applies to."""
        name = "steps" if self.field == BUDGET else self.field
        able = [family for family in FAMILIES if why_not(name, family) is None]
        return tuple(family for family in able if misfit(self.recipe, family) is None)

    @property
    def recipe(self) -> Recipe:
        """A recipe with guidance that makes this choice."""
        guided = "" if self.field == "guidance_scale" else "guidance_scale=2 "
        return Recipe.from_text(guided + self.example)

    @property
    def costs(self) -> dict[str, Cost | str]:
        """What it adds to plain sampling with guidance, by family, in row-evaluations.

        That takes 2N, where N are the tokens of an autoregressive model and the steps of others. Of
        the choices that set this cost itself, none; in words where the run alone tells.
        """
        return {family: self._cost(family) for family in self.families}

    def _cost(self, family: str) -> Cost | str:
        recipe = self.recipe
        if self.field in ("steps", BUDGET):
            return FREE
        if recipe.jacobi:
            return f"{recipe.jacobi.window} instead of 1 per row and pass"
        long, longer = (COUNTS[family](recipe, length) for length in (LONG, LONG + 1))
        per_step = longer - long
        return Cost(per_step - 2, long - per_step * LONG)


CHOICES = (
    Choice("preset=official", "Reads what other choices leave open as the released code does", "–"),
    Choice("steps=16", "Number of steps N in which a masked model fills the picture", "2"),
    Choice("guidance_scale=2", "Classifier-free guidance; 1 is without and halves the cost", "2"),
    Choice(
        "guidance_schedule=linear",
        "Guidance grows from none in the first step to its scale in the last",
        f"{PYTORCH}; Muse",
    ),
    Choice("temperature=0.9", "Sharpens the draw of tokens; 0 takes the likeliest", "–"),
    Choice(
        "temperature_schedule=linear(0.8)",
        "Goes over the steps from temperature to this one, straight in 1/temperature",
        HALTON,
    ),
    Choice(
        "temperature_schedule=constant(warmup=1)",
        "Twice the temperature in the first steps",
        HALTON,
    ),
    Choice("masking_temperature=3..0", "Noise on which drawn tokens stay, start to end", "2"),
    Choice("schedule=cosine", "Mask ratio cos(πt/2): few tokens first, many at the end", "2"),
    Choice("schedule=linear", "Mask ratio 1 − t: equally many tokens in every step", "2"),
    Choice("schedule=log(10)", "Mask ratio −log2(t)/p for 2^p tokens: most tokens first", JAX),
    Choice("schedule=exp(10)", "Mask ratio 1 − 2^(p(t−1)) for 2^p tokens: nearly all last", JAX),
    Choice("schedule=arccos", "Mask ratio 2/π·arccos t: most tokens in the last steps", HALTON),
    Choice("schedule=pow_one_minus_t(0.6)", "Mask ratio (1 − t)^p", "3.1"),
    Choice("schedule=one_minus_t_pow(0.6)", "Mask ratio 1 − t^p; p < 1: most tokens first", "3.1"),
    Choice(
        "schedule=karras_a(0.6,begin=0.98,end=0.02)",
        "The Karras form of (1 − t)^p, between two mask ratios",
        "3.1",
    ),
    Choice(
        "schedule=karras_b(0.6,begin=0.98,end=0.02)",
        "The Karras form of 1 − t^p, between two mask ratios",
        "3.1",
    ),
    Choice(
        "schedule=arccos(counts=revealed)",
        "Rounds down the tokens that are known instead of those masked",
        HALTON,
    ),
    Choice(
        "schedule=arccos(counts=inclusive)",
        "The same from t = 0 in the first step to t = 1 in the last",
        HALTON,
    ),
    Choice(
        "schedule=arccos(counts=increments)",
        "The curve, run backwards, tells how many tokens each step reveals",
        PYTORCH,
    ),
    Choice("order=halton", "Reveals tokens along Halton's sequence, evenly spread", HALTON),
    Choice("order=halton(roll=true)", "The same, begun elsewhere for each image", HALTON),
    Choice("order=random", "Reveals any of the drawn tokens", OURS),
    Choice(
        "order=confidence(known=redraw)",
        "Draws known tokens anew in every step, too",
        HALTON,
    ),
    Choice(
        "drawn_mask=suppress",
        "Never draws the mask, which some models predict among the codes",
        OURS,
    ),
    Choice("drawn_mask=remask", "Leaves a token unknown that is drawn as the mask", HALTON),
    Choice("noise=abs_cos(1)", "Noise regularization: a·|cos πt| of noise on the logits", "3.3"),
    Choice("noise=half_abs_cos(1)", "The same with half the amplitude", "3.3"),
    Choice("noise=half_then_full(1)", "Half of it before the middle, all after it", "3.3"),
    Choice("noise=full_then_half(1)", "All of it before the middle, half after it", "3.3"),
    Choice("noise=const(1)", "The same noise in every step", OURS),
    Choice("noise=linear_down(1)", "Noise that falls as 1 − t", OURS),
    Choice("noise=linear_up(1)", "Noise that grows as t", OURS),
    Choice("noise=sin(1)", "Noise as sin πt: most in the middle", OURS),
    Choice("differential=75", "Redraws the percentage of tokens that changed least", "3.4"),
    Choice(
        "differential=75(rule=positive,carry=modified)",
        "The released code's: redraws from what rose, and compares with what was redrawn",
        "released code",
    ),
    Choice("differential=75(pool=masked)", "Ranks the masked tokens alone", OURS),
    Choice("differential=75(carry=modified)", "Compares with what was redrawn", OURS),
    Choice("differential=75(last=true)", "Redraws in the last step, too", OURS),
    Choice(
        "differential=75(compare=steps) zigzag=low_token_prob",
        "With Z-sampling, takes the change from the step before, not from the call before",
        OURS,
    ),
    Choice(
        "zigzag=masked",
        "Masked Z-sampling as the preset reads it: low_token_prob, or officially high_max_prob",
        "3.2",
    ),
    Choice(
        "zigzag=low_token_prob",
        "Masked Z-sampling: masks the least likely tokens again and repeats the step",
        "3.2",
    ),
    Choice(
        "zigzag=high_max_prob",
        "The released code's Z-sampling: masks where the prediction is surest",
        "released code",
    ),
    Choice(
        "zigzag=random",
        "Vanilla Z-sampling: masks random tokens again and repeats the step",
        "9.3",
    ),
    Choice("zigzag=recover", "Repeats the draw of each step from the same prediction", "9.3"),
    Choice(
        "zigzag=low_token_prob(guidance=9)",
        "Guidance scale of the inversion; 0 and 1 evaluate one row instead of two",
        "3.2",
    ),
    Choice("zigzag=low_token_prob(start=2,stop=8)", "Z-sampling in a range of steps only", "9.3"),
    Choice(
        "momentum=1",
        "Momentum solver of first order: keeps the most confident tokens, without noise",
        "4.3",
    ),
    Choice(
        "momentum=2",
        "Momentum solver of second order: extrapolates from the step before",
        "4.3",
    ),
    Choice("momentum=2(cap=0.5)", "Extrapolates by at most this share of the change", OURS),
    Choice("momentum=2(space=logits)", "Extrapolates logits instead of probabilities", OURS),
    Choice("momentum=2(rule=paper_literal)", "Eq. 4 with the sign that is printed", "4.3"),
    Choice("momentum=1(pool=all)", "Ranks the known tokens, too, and so reveals later", "4.3"),
    Choice("argmax_from=12", "Takes the likeliest tokens from a step or position on", "8.1"),
    Choice("guidance_interval=2..14", "Guidance in a range of steps or positions only", "–"),
    Choice("top_k=100", "Draws from the k likeliest tokens only", "–"),
    Choice("top_p=0.9", "Draws from the likeliest tokens that hold probability p", "–"),
    Choice('negative_prompt="blurry"', "What guidance leads away from, instead of nothing", "–"),
    Choice("row_evaluations=128", "As many steps as this many row-evaluations allow", OURS),
    Choice("jacobi=16", "Speculative Jacobi decoding: same distribution, fewer calls", "Table 1"),
)
