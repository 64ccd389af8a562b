"""`bakeoff benchmarks`: what a study may name."""

from rich.console import Console
from rich.table import Table

from bakeoff.platform.benchmarks import BENCHMARKS


def benchmarks() -> None:
    """List the benchmarks that a study may name."""
    table = Table(title="Benchmarks: `benchmark: {name: NAME, split: SPLIT, limit: N}` in a study")
    for heading in ("name", "split", "prompts", "tasks", "what it is"):
        table.add_column(heading, overflow="fold")
    for name, benchmark in BENCHMARKS.items():
        for split in benchmark.splits:
            prompts = benchmark.prompts(split)
            tasks = dict.fromkeys(prompt.task for prompt in prompts)
            table.add_row(name, split, str(len(prompts)), ", ".join(tasks), benchmark.sentence)
    console = Console()
    console.print(table)
    console.print("Your own: `prompts: FILE.txt`, one prompt a line, or a list in the study.")
