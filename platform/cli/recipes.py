"""`bakeoff recipes`: the choices that a recipe is made of."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bakeoff.samplers.recipe import MASKED_ONLY, Recipe, Schedule

# One sentence and an example for every field of `Recipe`, in its order.
CHOICES = {
    "preset": ("How open parameters are read: as the paper or as its code.", "preset=official"),
    "steps": ("Number of denoising steps.", "steps=16"),
    "guidance_scale": ("Classifier-free guidance; 1 is without.", "guidance_scale=2"),
    "temperature": ("Of the token draw; 0 takes the likeliest.", "temperature=0.9"),
    "masking_temperature": (
        "Of the confidence noise that decides what is masked again, from start to end.",
        "masking_temperature=2..0",
    ),
    "schedule": (
        "Share of tokens still masked over time.",
        "schedule=one_minus_t_pow(0.6)",
    ),
    "noise": ("Noise on the logits, its size a curve of time.", "noise=abs_cos(1)"),
    "differential": (
        "Redraw the percentage of tokens whose distribution changed least.",
        "differential=75",
    ),
    "zigzag": ("Go back after a step and take it again.", "zigzag=low_token_prob"),
    "top_k": ("Draw from the k likeliest tokens only.", "top_k=50"),
    "top_p": ("Draw from the likeliest tokens of this total probability.", "top_p=0.95"),
    "negative_prompt": ("What guidance leads away from.", 'negative_prompt="blurry"'),
}


def recipes() -> None:
    """List the choices of a recipe, what each does and how it is written."""
    plain = Recipe()
    table = Table(title="Choices of a recipe: one line `steps=16 noise=abs_cos(1)`, or YAML keys")
    for heading in ("choice", "without it", "models", "what it does", "example"):
        table.add_column(heading, overflow="fold")
    for name, (sentence, example) in CHOICES.items():
        default = getattr(plain, name)
        without = _spelled(default)
        family = "masked" if name in MASKED_ONLY else "all"
        table.add_row(name, without, family, sentence, escape(example))
    Console().print(table)


def _spelled(value: object) -> str:
    if isinstance(value, Schedule):
        return value.name
    if isinstance(value, tuple):
        return "..".join(f"{end:g}" for end in value)
    return "–" if value in (None, "") else str(value)
