"""Workers on a real cluster: each keeps its model, and different models run at the same time."""

from pathlib import Path

from tests.benchmarks.simulated_gpus import simulate


def test_two_models_run_at_once_on_workers_that_keep_them(tmp_path: Path) -> None:
    found = simulate(workers=2, rounds=3, sleep=0.5, folder=tmp_path, models=("one", "other"))
    assert sorted(found.models) == [["one"] * 3, ["other"] * 3]
