"""What the platform adds to the work: `python -m tests.benchmarks.platform [--only NAME …]`.

Each line is one figure with its target beside it. GPUs are simulated: Ray is told of them, and a
shard is a sleep. Stores are made up in /var/tmp, hundreds of megabytes, and removed afterwards.
"""

import argparse
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.large_store import (
    LargeStore,
    pandas_win_counts,
    resume,
    show_leaderboard,
    show_status,
    tuned_pandas_win_counts,
    win_counts,
    write_large_store,
)
from tests.benchmarks.overhead import bare_seconds, efficiency_study, plan_cost, platform_seconds
from tests.benchmarks.simulated_gpus import simulate

WORKERS = (2, 8, 32, 64)


def print_efficiency(given: argparse.Namespace) -> None:
    """Compare two workers of the platform with two bare loops over the same shards."""
    study = efficiency_study(given.prompts)
    bare = bare_seconds(study, given.batch_size)
    print(
        f"bare loop, 2 processes        {bare.images:5} images  {bare.seconds:7.1f} s", flush=True
    )
    with TemporaryDirectory(dir="/var/tmp") as folder:
        whole = platform_seconds(study, given.batch_size, Path(folder) / "store")
    print(f"platform, 2 workers           {whole.images:5} images  {whole.seconds:7.1f} s")
    print(f"efficiency                    {bare.seconds / whole.seconds:7.3f}  (target 0.9)")
    print(
        f"time until first shard is done {whole.until_first:6.1f} s, not counted above", flush=True
    )


def print_scaling(given: argparse.Namespace) -> None:
    """Let simulated GPU workers sleep through their shards."""
    for workers in given.workers:
        with TemporaryDirectory(dir="/var/tmp") as folder:
            found = simulate(workers, given.rounds, given.sleep, Path(folder))
        print(
            f"{workers:3} simulated GPUs  all busy after {found.until_all_busy:6.1f} s  "
            f"busy from then on {found.efficiency:6.3f}  (target 0.95 at 64)",
            flush=True,
        )


def print_plan(given: argparse.Namespace) -> None:
    """Plan and do not keep."""
    for samples in given.plan_samples:
        cost = plan_cost(samples)
        millions = cost.samples / 1e6
        print(
            f"plan of {millions:6.2f} million samples  {cost.seconds / millions:6.1f} s a million  "
            f"{cost.memory_bytes / 1e6:6.0f} MB above the start",
            flush=True,
        )


def print_large_store(given: argparse.Namespace) -> None:
    """Resume on a large store, and query it."""
    with TemporaryDirectory(dir="/var/tmp") as folder:
        large = write_large_store(Path(folder) / "store", given.rows)
        print(f"store of {large.scores:,} score rows, {large.bytes / 1e6:,.0f} MB", flush=True)
        for label, measure in (
            ("resume with nothing to do", resume),
            ("bakeoff status", show_status),
            ("bakeoff leaderboard", show_leaderboard),
        ):
            cost = measure(large)
            print(
                f"{label:29} {cost.seconds:7.1f} s  "
                f"{cost.memory_bytes / 1e6:,.0f} MB above the start",
                flush=True,
            )
        print_query(large)


def print_query(large: LargeStore) -> None:
    """Compare the win counts of all entries against the baseline with those of pandas."""
    seconds, ours = win_counts(large)
    print(f"win rates of all metrics      {seconds:7.1f} s by Bakeoff", flush=True)
    for label, measure in (
        ("the same by pandas", pandas_win_counts),
        ("by pandas, tuned by hand", tuned_pandas_win_counts),
    ):
        try:
            reference, theirs = measure(large)
        except ImportError:
            print("pandas is not installed: nothing to compare with")
            return
        assert ours == theirs
        ratio = reference / seconds
        print(f"{label:29} {reference:7.1f} s, {ratio:.1f} times  (target 5)", flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "efficiency": print_efficiency,
    "scaling": print_scaling,
    "plan": print_plan,
    "store": print_large_store,
}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--prompts", type=int, default=240, help="of the efficiency, up to 240")
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--sleep", type=float, default=30.0, help="seconds of a simulated shard")
    parser.add_argument("--rounds", type=int, default=4, help="simulated shards for each worker")
    parser.add_argument("--plan-samples", type=int, nargs="+", default=(1_000_000, 4_000_000))
    parser.add_argument("--rows", type=int, default=10_000_000, help="scores of the large store")
    given = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("ray", "duckdb", "pyarrow"))
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before the start; {libraries}", flush=True)
    for name in given.only:
        PARTS[name](given)


if __name__ == "__main__":
    main()
