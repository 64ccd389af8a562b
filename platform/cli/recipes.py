"""`bakeoff recipes`: the choices that a recipe is made of."""

from bakeoff.platform.cli.listing import Item, print_items
from bakeoff.samplers.choice_table import CHOICES, FREE, Choice

TITLE = (
    "Choices of a recipe. In a study: one line, `noisy: steps=16 noise=abs_cos(1)`, or keys, "
    "`noisy: {like: vanilla, noise: abs_cos(1)}`. Cost: row-evaluations (network passes for an "
    "image) that the choice adds to plain sampling with guidance, which takes 2N for a masked "
    "model of N steps and two for each token for an autoregressive one."
)


def recipes() -> None:
    """List the choices of a recipe: what each does, its source, models and cost."""
    print_items(TITLE, map(_item, CHOICES))


def _item(choice: Choice) -> Item:
    paper = choice.source[0].isdigit()
    facts = [
        f"paper section {choice.source}" if paper else choice.source,
        " and ".join(choice.families) + " models",
        f"cost {choice.cost}" if choice.cost != FREE else "no extra cost",
    ]
    return Item(choice.example, f"{choice.line}.", " · ".join(f for f in facts if f != "–"))
