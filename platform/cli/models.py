"""`bakeoff models`: what a study may name."""

from collections.abc import Iterator

from bakeoff.platform.cli.listing import Item, print_items


def models() -> None:
    """List the models that a study may name."""
    title = (
        "Models. In a study: `model: NAME`, or `path: FOLDER` for a checkpoint of your own; beside "
        "it `dtype: bfloat16` and `compiled: true`, with a `name:` where a model comes twice."
    )
    print_items(title, _items())


def _items() -> Iterator[Item]:
    from bakeoff.samplers.catalog import MODELS

    for name, entry in MODELS.items():
        pixels = f"{entry.resolution} × {entry.resolution} pixels"
        recipe = f"default recipe: {entry.recipe}"
        facts = " · ".join((entry.family, pixels, recipe, f"licence {entry.licence}"))
        yield Item(name, entry.description, facts)
