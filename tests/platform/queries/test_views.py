"""The SQL on rows that a person can add up in their head."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import duckdb
import pyarrow.parquet as pq
import pytest

from bakeoff.platform.conclusions.side_by_side import pictures
from bakeoff.platform.queries.views import KEPT, Views, open_views
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError
from tests.store_writer import MISSING, STAGE_SHARES, StoreWriter, composition, counts, version

A, B, C = "m/a", "m/b", "n/c"


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


def test_an_empty_store_has_every_query_and_no_row(tmp_path: Path) -> None:
    Store(tmp_path / "store").create()
    views = open_views(tmp_path / "store")
    named = {"study": "s", "metric": "m"}
    assert views.query("studies") == []
    for name in ("study_entries", "study_metric_versions", "scores_by_entry", "study_prompts"):
        assert views.query(name, study="s") == []
    for name in ("entry_pixels", "study_text"):
        assert views.query(name, study="s") == []
    assert views.query("task_sizes", study="s", task="t") == []
    assert views.query("seed_values", **named, seeds=2) == []
    for name in ("features", "reference_features"):
        assert views.query(name, **named) == []
    assert views.query("entry_places", study="s") == []
    named_values = {"task": None, "prompt_ids": None}
    assert views.query("metric_values", **named, **named_values) == []
    assert views.query("trace_means", study="s", entries=["e"]) == []
    assert views.query("token_maps", sample_id="x") == []
    for name in ("traced_entries", "entry_tokens", "latency", "entry_costs"):
        assert views.query(name, study="s") == []
    for name in ("run_devices", "run_models", "failure_kinds"):
        assert views.query(name, study="s") == []
    assert views.query("seeds_and_tasks", study="s") == [{"seeds": 0, "tasks": []}]
    assert views.query("study_runs", study="s", count=9) == []
    assert views.query("partings", study="s", entry="e", opponent="o", pairs=9) == []
    assert views.query("failed_samples", study="s", count=9, skip=0, length=9) == []
    assert views.query("study_runs", study="s", count=9) == []
    for name in ("failure_kinds", "stopping"):
        assert views.query(name, study="s") == []
    assert views.query("seeds_and_tasks", study="s") == [{"seeds": 0, "tasks": []}]
    asked = {"study": "s", "prompt_ids": ["p"], "seed_place": 1}
    for name in ("placed_samples", "sample_scores"):
        assert views.query(name, **asked) == []
    with pytest.raises(duckdb.IOException):  # no part, no rows of it
        views.query("pictures", sample_ids=["x"], parts=["p"])
    assert views.query("prompt_texts", study="s", prompt_ids=["p"]) == []
    for name in ("cast_votes", "opinions"):
        assert views.query(name, study="s") == []
    assert views.query("pair_opinions", **named, entry="e", opponent="o") == []
    assert views.query("duel", study="s", entry="e", opponent="o", shuffle=0) == []
    views.save(tmp_path / "saved.duckdb")  # by "snapshot"
    question = {"entries": [], "metric": None, "task": None, "holding": ""}
    assert views.query("disputed_prompts", study="s", seed_place=1, **question) == []


def test_every_sql_file_is_tried_on_the_empty_store() -> None:
    source = Path(__file__).read_text()
    folder = Path(__file__).parents[3] / "platform" / "queries" / "sql"
    from bakeoff.platform.queries.views import VIEWS

    queries = {file.stem for file in folder.glob("*.sql")} - set(VIEWS)
    assert queries and all(f'"{name}"' in source for name in queries)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_views(tmp_path / "nowhere")


def test_scores_come_in_lists_by_prompt(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 0], "y-1": [1, 1]}, b={"x-1": [0.25, 0.5]}))
    rows = open_views(writer.path).query("scores_by_entry", study="study")
    assert rows == [
        {
            "metric": "composition",
            "entry": A,
            "tasks": ["x", "y"],
            "means": [0.5, 1.0],
            "samples": [2, 2],
            "binary": [True, True],
        },
        {
            "metric": "composition",
            "entry": B,
            "tasks": ["x"],
            "means": [0.375],
            "samples": [2],
            "binary": [False],
        },
    ]


def test_entries_with_other_seeds_meet_by_place(writer: StoreWriter) -> None:
    scores = composition(a={"x-1": [0, 1]}, b={"x-1": [1, 0]})
    writer.run(scores, copies={B: A})
    views = open_views(writer.path)
    assert counts(views) == {(B, A): ([1], [0], [1], 0)}
    controls = {r["entry"]: r["control_of"] for r in views.query("study_entries", study="study")}
    assert controls == {A: None, B: A}


def test_a_control_is_named_after_the_baseline_wherever_it_stands(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [0]}, b={"x-1": [1]}), copies={A: B}, baseline=B)
    rows = open_views(writer.path).query("study_entries", study="study")
    assert {r["entry"]: r["control_of"] for r in rows} == {A: B, B: None}


def test_a_sample_stored_twice_counts_once(writer: StoreWriter) -> None:
    scores = composition(a={"x-1": [1, 1], "x-2": [1]}, b={"x-1": [0, 0], "x-2": [1]})
    writer.run(scores)
    again = composition(a={"x-1": [1]}, b={"x-1": [0]})
    writer.run(again, part="-again")
    writer.run(scores, minute=5, part="-whole")
    views = open_views(writer.path)
    assert counts(views) == {(B, A): ([0, 0], [0, 1], [2, 0], 0)}
    assert [r["samples"] for r in views.query("study_entries", study="study")] == [3, 3]
    assert len(views.query("placed_samples", study="study", prompt_ids=["x-1"], seed_place=1)) == 2


def test_of_a_score_stored_twice_the_least_counts(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 1]}, b={"x-1": [1, 1]}))
    head = {"metric": "composition", "metric_version": version("composition")}
    values = {"m a x-1 0": 3.0, "m b x-1 1": 0.5}
    again = [head | {"sample_id": sample, "value": value} for sample, value in values.items()]
    Store(writer.path).write("scores", "again", again)
    rows = open_views(writer.path).query("scores_by_entry", study="study")
    assert [(row["means"], row["samples"]) for row in rows] == [([1.0], [2]), ([0.75], [2])]


def test_a_studys_newest_run_decides_its_entries(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={"x-1": [0]}), minute=0)
    writer.run(composition(a={"x-1": [1]}, c={"x-1": [0]}), minute=5)
    rows = open_views(writer.path).query("study_entries", study="study")
    assert [row["entry"] for row in rows] == [A, C]


def test_studies_of_one_store_share_samples_but_not_entries(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}), study="first", minute=0)
    writer.run(composition(a={"x-1": [1]}, b={"x-2": [0]}), study="second", minute=1)
    views = open_views(writer.path)
    assert [row["study"] for row in views.query("studies")] == ["second", "first"]
    assert [r["entry"] for r in views.query("study_entries", study="first")] == [A]


def test_scores_of_another_metric_version_are_left_out(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [1]}))
    store = Store(writer.path)
    old = {"sample_id": "m a x-1 0", "metric": "composition", "metric_version": "0", "value": 0.0}
    store.write("scores", "old", [old])
    rows = open_views(writer.path).query("scores_by_entry", study="study")
    assert [row["means"] for row in rows] == [[1.0, 1.0]]


def test_costs_are_the_median_over_warm_batches(writer: StoreWriter) -> None:
    batches = {A: [(9.0, False), (1.0, True), (2.0, True), (6.0, True)], B: [(4.0, False)]}
    four = {f"x-{number}": [1] for number in range(4)}
    writer.run(composition(a=four, b={"x-1": [1]}, c={"x-1": [1]}), batches=batches)
    rows = open_views(writer.path).query("study_entries", study="study")
    found = [
        (r["seconds_per_image"], r["typical_batches"], r["peak_memory_bytes"], r["row_evaluations"])
        for r in rows
    ]
    assert found == [
        (pytest.approx(2.0), 3, 4_000_000, 32.0),
        (pytest.approx(4.0), 0, 1_000_000, 32.0),  # no warm batch: what there is, and marked so
        (None, 0, None, 32.0),
    ]


def test_batches_of_another_size_than_the_newest_runs_do_not_count(writer: StoreWriter) -> None:
    old, new = {"x-1": [1], "x-2": [1]}, {f"x-{number}": [1] for number in range(1, 5)}
    first = {A: [(8.0, True), (8.0, True)], B: [(1.0, True), (3.0, True)]}
    writer.run(composition(a=old, b=old), batches=first, batch_size=16)
    writer.run(
        composition(a=new, b=old), batches={A: [(2.0, True)]}, batch_size=4, minute=5, part="-x"
    )
    rows = open_views(writer.path).query("study_entries", study="study")
    found = [(r["seconds_per_image"], r["batch_size"], r["device"]) for r in rows]
    assert found == [(pytest.approx(2.0), 4, "cpu"), (pytest.approx(2.0), 16, "cpu")]


def test_a_traced_batch_counts_only_where_there_is_no_other(writer: StoreWriter) -> None:
    two = {"x-1": [1], "x-2": [1]}
    batches = {A: [(1.0, True), (5.0, True)], B: [(5.0, True)]}
    writer.run(composition(a=two, b=two), batches=batches)
    for part in Store(writer.path).parts("profiles"):
        rows = pq.read_table(part, partitioning=None).to_pylist()
        traced = [
            row | {"traced": row["shard_id"] in ("study-m-a-1", "study-m-b-0")} for row in rows
        ]
        Store(writer.path).write("profiles", part.stem.removeprefix("part-"), traced)
    rows = open_views(writer.path).query("study_entries", study="study")
    found = [(r["seconds_per_image"], r["typical_batches"]) for r in rows]
    assert found == [(pytest.approx(1.0), 1), (pytest.approx(5.0), 0)]


STEPS = [
    {"mask_ratio": 0.75, "entropy": 2.0, "divergence": None, "redrawn": 0.0},
    {"mask_ratio": 0.0, "entropy": None, "divergence": 0.5, "redrawn": 0.25},
]


def test_traces_are_averaged_over_prompts_place_by_place(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 0], "x-2": [1]}, b={"x-1": [0]}), traces={A: STEPS})
    store = Store(writer.path)
    other = {"sample_id": "m a x-2 0", "place": 2, "step": 1, "phase": "backtrack", "entropy": 3.0}
    store.write("traces", "second", [{**other, "shard_id": "0", "mask_ratio": 0.5}])
    views = open_views(store.path)
    rows = views.query("trace_means", study="study", entries=[A])
    found = [
        (r["place"], r["step"], r["phase"], r["measure"], r["samples"], r["prompts"], r["mean"])
        for r in rows
    ]
    # x-2 has two traces, of which the first shard's counts: another picture's would mix with it
    assert found == [
        (0, 0, "forward", "entropy", 2, 1, 2.0),
        (0, 0, "forward", "mask_ratio", 2, 1, 0.75),
        (0, 0, "forward", "redrawn", 2, 1, 0.0),
        (0, 0, "forward", "revealed", 2, 1, 0.25),
        (1, 1, "forward", "divergence", 2, 1, 0.5),
        (1, 1, "forward", "mask_ratio", 2, 1, 0.0),
        (1, 1, "forward", "redrawn", 2, 1, 0.25),
        (1, 1, "forward", "revealed", 2, 1, 0.75),
        (2, 1, "backtrack", "entropy", 1, 1, 3.0),
        (2, 1, "backtrack", "mask_ratio", 1, 1, 0.5),
        (2, 1, "backtrack", "revealed", 1, 1, 0.5),
    ]
    assert views.query("trace_means", study="study", entries=[B]) == []
    assert views.query("traced_entries", study="study") == [{"entry": A}]


def test_several_seeds_of_a_prompt_are_one_value_of_a_trace(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 0], "x-2": [1]}))
    samples = {"m a x-1 0": 1.0, "m a x-1 1": 3.0, "m a x-2 0": 5.0}
    rows = [
        {"sample_id": key, "place": 0, "step": 0, "phase": "forward", "entropy": value}
        for key, value in samples.items()
    ]
    Store(writer.path).write("traces", "t", rows)
    (row,) = open_views(writer.path).query("trace_means", study="study", entries=[A])
    assert (row["samples"], row["prompts"], row["mean"]) == (3, 2, 3.5)
    assert row["deviation"] == pytest.approx(4.5**0.5)


def test_the_token_maps_of_a_sample_come_in_order(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [1]}), traces={A: STEPS})
    rows = open_views(writer.path).query("token_maps", sample_id="m a x-1 0")
    assert [(r["step"], r["phase"], r["tokens"]) for r in rows] == [
        (0, "forward", [0, 0, 0, 0]),
        (1, "forward", [1, 1, 1, 1]),
    ]


def test_the_tokens_of_an_entrys_pictures_are_counted(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={}))
    assert open_views(writer.path).query("entry_tokens", study="study") == [
        {"entry": A, "tokens": 64}
    ]


def test_features_come_with_their_prompts_and_reference(writer: StoreWriter) -> None:
    scores = {"composition": {A: {"x-1": [1, 0]}}}
    writer.run(scores)
    store = Store(writer.path)
    vectors = [[0.5, 1.0], [2.0, 4.0]]
    ids = ["m a x-1 0", "m a x-1 1"]
    head = {"metric": "composition", "metric_version": version("composition")}
    store.write(
        "scores",
        "features",
        [{**head, "sample_id": i, "vector": v} for i, v in zip(ids, vectors, strict=True)],
    )
    writer.references("composition", [[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]])
    views = open_views(writer.path)
    rows = views.query("features", study="study", metric="composition")
    assert [(r["entry"], r["prompt_id"], r["vector"]) for r in rows] == [
        (A, "x-1", [0.5, 1.0]),
        (A, "x-1", [2.0, 4.0]),
    ]
    reference = views.query("reference_features", study="study", metric="composition")
    assert [row["vector"] for row in reference] == [[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]]


def test_values_come_with_the_places_of_entry_prompt_and_seed(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-2": [0.5], "x-1": [1, MISSING]}, b={"x-1": [None, 0]}))
    views, named = open_views(writer.path), {"study": "study", "metric": "composition"}
    assert [row["prompt_id"] for row in views.query("prompt_places", study="study")] == [
        "x-2",
        "x-1",
    ]
    rows = views.query("metric_values", **named, task=None, prompt_ids=None)
    assert sorted(tuple(row.values()) for row in rows) == [
        (1, 1, 1, 0.5),
        (1, 2, 1, 1.0),
        (2, 2, 2, 0.0),
    ]


def test_values_come_by_seed_of_prompts_that_have_all(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-2": [1, 0], "x-1": [1, MISSING]}, b={"x-1": [None, 0]}))
    views, named = open_views(writer.path), {"study": "study", "metric": "composition"}
    assert views.query("seed_values", **named, seeds=2) == [
        {"entry": A, "prompt_id": "x-2", "values": [1.0, 0.0]}
    ]


def test_samples_and_prompts_of_a_task_are_counted(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 0], "x-2": [1], "y-1": [1]}, b={"y-1": [1]}))
    views = open_views(writer.path)
    asked = [views.query("task_sizes", study="study", task=task) for task in ("x", "y", "z")]
    assert [[tuple(row.values()) for row in rows] for rows in asked] == [
        [(A, 3, 2)],
        [(A, 1, 1), (B, 1, 1)],
        [],
    ]


def test_prompts_take_turns_between_tasks(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [1], "y-1": [1], "y-2": [1]}))
    rows = open_views(writer.path).query("study_prompts", study="study")
    assert [row["prompt_id"] for row in rows] == ["x-1", "y-1", "x-2", "y-2"]


def test_no_score_query_reads_image_bytes(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [0]}, b={"x-1": [0], "x-2": [0]}))
    folder = Path(__file__).parents[3] / "platform" / "queries" / "sql"
    readers = {file.stem for file in folder.glob("*.sql") if re.search(r"\bimage\b", _code(file))}
    assert readers == {"pictures"}


def _code(file: Path) -> str:
    lines = file.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def test_a_parameter_is_a_value_and_never_sql(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}))
    views = open_views(writer.path)
    hostile = "study' OR 'a'='a"
    assert views.query("study_entries", study=hostile) == []
    assert len(views.query("study_entries", study="study")) == 1


def test_views_keep_what_they_saw_while_a_run_writes_on(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}))
    views = open_views(writer.path)
    writer.run(composition(a={"x-1": [1], "x-2": [1]}), part="-more", minute=1)
    assert [r["samples"] for r in views.query("study_entries", study="study")] == [1]
    assert [
        r["samples"] for r in open_views(writer.path).query("study_entries", study="study")
    ] == [2]


def test_a_prompt_worded_anew_is_another_prompt(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1, 1]}), prompts={"x-1": "a cat"})
    writer.run(composition(a={}, b={"x-1": [0]}), prompts={"x-1": "a dog"}, part="-2", minute=1)
    rows = open_views(writer.path).query("study_entries", study="study")
    assert [(row["entry"], row["samples"]) for row in rows] == [(A, 0), (B, 1)]


def test_pictures_are_found_without_a_look_at_the_scores(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}))
    views = open_views(writer.path)
    shutil.rmtree(writer.path / "scores")
    assert len(pictures(views, "study", ["x-1"])) == 1
    with pytest.raises(duckdb.IOException):
        views.query("scores_by_entry", study="study")


def test_what_could_not_be_read_once_can_be_asked_for_again(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={"x-1": [0]}))
    views = open_views(writer.path)
    away = (writer.path / "samples").rename(writer.path / "away")
    with pytest.raises(duckdb.IOException):
        counts(views)
    away.rename(writer.path / "samples")
    assert counts(views) == {(B, A): ([0], [0], [1], 0)}


def test_threads_that_ask_at_once_get_the_same(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}, b={"x-1": [0]}))
    views = open_views(writer.path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: counts(views), range(8)))
    assert found == [{(B, A): ([0], [0], [1], 0)}] * 8


def test_prompts_that_a_study_no_longer_names_do_not_count(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1], "x-2": [0]}))
    writer.run(composition(a={"x-2": [0]}), part="-less", minute=1)
    views = open_views(writer.path)
    (row,) = views.query("study_entries", study="study")
    assert (row["samples"], row["prompts"]) == (1, 1)
    (scores,) = views.query("scores_by_entry", study="study")
    assert scores["means"] == [0]


def test_the_connection_is_closed_to_what_a_store_may_hold(writer: StoreWriter) -> None:
    writer.run(composition(a={"x-1": [1]}))
    connection = open_views(writer.path)._connection
    for setting in ("autoload_known_extensions", "python_enable_replacements"):
        with pytest.raises(duckdb.Error, match="locked"):
            connection.execute(f"SET {setting} = true")


def test_latency_is_told_in_percentiles_of_typical_batches_if_there_are_any(
    writer: StoreWriter,
) -> None:
    first, rest = [(50.0, False)], [(float(place), True) for place in range(1, 102)]
    images = {f"x-{number}": [1] for number in range(102)}
    writer.run(composition(a=images, b={"x-1": [1]}), batches={A: first + rest, B: first})
    rows = open_views(writer.path).query("latency", study="study")
    found = {
        (row["entry"], row["is_typical"]): (row["batches"], row["p50"], row["p90"], row["p99"])
        for row in rows
        if row["stage"] == "network"
    }
    share = STAGE_SHARES["network"]
    assert found == {
        (A, True): (101, *(pytest.approx(q * share) for q in (51, 91, 100))),
        (B, False): (1, *[pytest.approx(50 * share)] * 3),
    }
    assert {row["stage"] for row in rows} >= set(STAGE_SHARES)


def test_what_was_asked_last_is_kept(writer: StoreWriter) -> None:
    Store(writer.path).create()
    views, made = open_views(writer.path), list[str]()

    def make(given: Views, name: str) -> str:
        assert given is views
        made.append(name)
        return name

    first, *others = map(str, range(KEPT))
    for name in (first, *others, first, "new", first, others[0]):
        assert views.kept(make, name) == name
    assert made == [first, *others, "new", others[0]]


def test_what_is_kept_does_not_wait_for_what_is_made(writer: StoreWriter) -> None:
    Store(writer.path).create()
    views, started, asked = open_views(writer.path), Event(), Event()
    in_time = list[bool]()

    def quick(_: Views) -> str:
        return "kept"

    def slow(_: Views) -> str:
        started.set()
        in_time.append(asked.wait(10))
        return "made"

    views.kept(quick)
    maker = Thread(target=views.kept, args=(slow,))
    maker.start()
    started.wait(10)
    assert views.kept(quick) == "kept"
    asked.set()
    maker.join()
    assert in_time == [True] and views.kept(slow) == "made" and len(in_time) == 1
