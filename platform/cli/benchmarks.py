"""`bakeoff benchmarks`: what a study may name."""

from bakeoff.platform.cli.listing import Item, items_of, print_items
from bakeoff.platform.studies.benchmarks import BENCHMARKS, OWN_PROMPTS, Benchmark

OWN = Item(
    OWN_PROMPTS,
    "Prompts of your own, in place of a benchmark.",
    "`prompts: FILE.txt`, one prompt a line, or `prompts: [a dog, a cat]`",
)


def benchmarks() -> None:
    """List the benchmarks that a study may name."""
    title = "Benchmarks. In a study: `benchmark: {name: NAME, split: SPLIT, limit: N}`."
    print_items(title, [*items_of(BENCHMARKS, _item), OWN])


def _item(name: str, benchmark: Benchmark) -> Item:
    splits = (f"{split} ({len(benchmark.prompts(split))} prompts)" for split in benchmark.splits)
    facts = f"splits, the first by default: {', '.join(splits)} · tasks: "
    return Item(name, benchmark.sentence, facts + ", ".join(benchmark.tasks))
