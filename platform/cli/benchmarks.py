"""`bakeoff benchmarks`: what a study may name."""

from collections.abc import Iterator

from bakeoff.platform.benchmarks import BENCHMARKS, OWN_PROMPTS
from bakeoff.platform.cli.listing import Item, print_items


def benchmarks() -> None:
    """List the benchmarks that a study may name."""
    title = "Benchmarks. In a study: `benchmark: {name: NAME, split: SPLIT, limit: N}`."
    print_items(title, _items())


def _items() -> Iterator[Item]:
    for name, benchmark in BENCHMARKS.items():
        splits = (
            f"{split} ({len(benchmark.prompts(split))} prompts)" for split in benchmark.splits
        )
        facts = f"splits, the first by default: {', '.join(splits)} · tasks: "
        yield Item(name, benchmark.sentence, facts + ", ".join(benchmark.tasks))
    yield Item(
        OWN_PROMPTS,
        "Prompts of your own, in place of a benchmark.",
        "`prompts: FILE.txt`, one prompt a line, or `prompts: [a dog, a cat]`",
    )
