"""`bakeoff recipes`: the choices that a recipe is made of."""

from bakeoff.platform.cli.listing import Item, print_items
from bakeoff.samplers.choice_table import CHOICES, FREE, Choice, Cost

TITLE = (
    "Choices of a recipe. In a study: one line, `noisy: steps=16 noise=abs_cos(1)`, or keys, "
    "`noisy: {like: vanilla, noise: abs_cos(1)}`, which also takes all of vanilla's: a recipe that "
    "is like no other has no guidance unless it says so. Cost: row-evaluations (network passes "
    "for an image) that the choice adds to plain sampling with guidance, which takes 2N: N are "
    "the tokens of an autoregressive model, or the steps of any other."
)


def recipes() -> None:
    """List the choices of a recipe: what each does, its source, models and cost."""
    print_items(TITLE, map(_item, CHOICES))


def _item(choice: Choice) -> Item:
    paper = choice.source[0].isdigit()
    facts = [
        f"paper section {choice.source}" if paper else choice.source,
        ", ".join(choice.families) + " models",
        _cost(choice.costs),
    ]
    return Item(choice.example, f"{choice.line}.", " · ".join(f for f in facts if f != "–"))


def _cost(costs: dict[str, Cost | str]) -> str:
    """Spell a cost by family; once if it is the same for all."""
    if set(costs.values()) == {FREE}:
        return "no extra cost"
    if len(set(costs.values())) == 1:
        return f"cost {next(iter(costs.values()))}"
    return "cost " + ", ".join(f"{cost} for {family}" for family, cost in costs.items())
