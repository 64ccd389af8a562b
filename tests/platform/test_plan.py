"""The plan is what is wanted less what is stored, however it is cut."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.platform.benchmarks import Prompt
from bakeoff.platform.plan import MetricKey, Shard, Stored, plan, sample_id, wanted_items
from bakeoff.platform.study import Entry, Model, Study
from bakeoff.samplers.recipe import Recipe

MODEL = Model("small", "small", "masked")
ENTRIES = (
    Entry("small/a", MODEL, Recipe(steps=4), (0, 1), baseline=True),
    Entry("small/b", MODEL, Recipe(steps=8), (0, 1)),
)
PROMPTS = tuple(Prompt(f"p{n}", f"prompt {n}", "task") for n in range(5))
STUDY = Study("s", "", "prompts", PROMPTS, ENTRIES, ("m", "n"))
METRICS = [MetricKey("m", "1"), MetricKey("n", "1")]
HASHES = {"small": "w"}
EVERY = [item.sample_id for entry in ENTRIES for item in wanted_items(STUDY, entry, "w")]


def shards(stored: Stored, batch_size: int = 3, study: Study = STUDY) -> list[Shard]:
    return list(plan(study, HASHES, METRICS, stored, batch_size))


def store_results(stored: Stored, done: Iterable[Shard]) -> Stored:
    """Return what a store holds after these shards."""
    samples, scores, traced = dict(stored.samples), set(stored.scores), set(stored.traced)
    for shard in done:
        for item in shard.items:
            samples.setdefault(item.sample_id, Path(f"part-{shard.shard_id}.parquet"))
            scores |= {(item.sample_id, *metric) for metric in shard.metrics}
            traced |= {item.sample_id} if shard.traces else set()
    return Stored(samples, scores, traced)


EMPTY = Stored({}, frozenset())
stored_states = st.builds(
    lambda samples, scores, traced: Stored(
        {identity: Path(f"part-{n % 3}.parquet") for n, identity in enumerate(sorted(samples))},
        {(identity, name, version) for identity, name, version in scores},
        traced,
    ),
    st.sets(st.sampled_from(EVERY)),
    st.sets(st.tuples(st.sampled_from(EVERY), st.sampled_from("mn"), st.sampled_from("01"))),
    st.sets(st.sampled_from(EVERY)),
)
TRACED = replace(STUDY, traces=True)


@given(stored_states, st.integers(1, 40))
@settings(deadline=None)
def test_the_plan_is_the_set_difference(stored: Stored, batch_size: int) -> None:
    made, scored = Counter[str](), Counter[tuple[str, str, str]]()
    for shard in shards(stored, batch_size):
        assert 1 <= len(shard.items) <= batch_size
        for item in shard.items:
            known = stored.samples.get(item.sample_id)
            assert shard.part == (known.name if known else None)
            made[item.sample_id] += shard.part is None
            scored.update((item.sample_id, *metric) for metric in shard.metrics)
    assert +made == Counter(set(EVERY) - set(stored.samples))
    wanted = {(identity, name, "1") for identity in EVERY for name in "mn"}
    assert scored == Counter(wanted - stored.scores)


@given(stored_states, st.integers(1, 40))
@settings(deadline=None)
def test_a_study_with_traces_has_every_sample_traced_once(stored: Stored, batch_size: int) -> None:
    planned = shards(stored, batch_size, TRACED)
    again = Counter(i.sample_id for s in planned if s.traces and s.part for i in s.items)
    made = Counter(i.sample_id for s in planned if not s.part for i in s.items)
    assert again == Counter(set(stored.samples) - stored.traced)
    assert made == Counter(set(EVERY) - set(stored.samples))
    assert all(shard.traces for shard in planned if not shard.part)
    assert all(not shard.needs_model for shard in planned if shard.part and not shard.traces)


@given(stored_states, st.integers(1, 40), st.data())
@settings(deadline=None)
def test_nothing_is_left_after_any_interruption(
    stored: Stored, batch_size: int, data: st.DataObject
) -> None:
    study = data.draw(st.sampled_from([STUDY, TRACED]))
    planned = shards(stored, batch_size, study)
    survived = [shard for shard in planned if data.draw(st.booleans())]
    stored = store_results(stored, survived)
    stored = store_results(stored, shards(stored, 7, study))
    assert shards(stored, study=study) == []


def test_what_failed_for_good_is_left_out_and_the_rest_planned() -> None:
    first, second, third = EVERY[:3]
    failed = {(first, "n"), (second, "trace"), (third, "generate"), (EVERY[3], "generate")}
    stored = Stored({first: Path("a"), second: Path("a"), third: Path("a")}, set(), set(), failed)
    planned = shards(stored, 40, TRACED)
    wanted = {(i.sample_id, bool(s.part), s.traces, s.metrics) for s in planned for i in s.items}
    both = tuple(METRICS)
    assert (
        wanted
        == {
            (first, True, True, both[:1]),
            (second, True, False, both),
            (third, True, True, both),  # it was made after all
            *((other, False, True, both) for other in EVERY[4:]),
        }
    )


def test_shard_ids_are_distinct_and_repeat() -> None:
    first, second = shards(EMPTY), shards(EMPTY)
    assert [shard.shard_id for shard in first] == [shard.shard_id for shard in second]
    assert len({shard.shard_id for shard in first}) == len(first) == 8


def test_a_new_recipe_is_all_that_is_planned() -> None:
    stored = store_results(EMPTY, shards(EMPTY))
    added = Entry("small/c", MODEL, Recipe(steps=9), (0, 1))
    planned = shards(stored, study=replace(STUDY, entries=(*ENTRIES, added)))
    assert {shard.recipe for shard in planned} == {"steps=9"}
    assert sum(len(shard.items) for shard in planned) == 10


def test_a_new_metric_version_scores_again_and_makes_nothing() -> None:
    stored = store_results(EMPTY, shards(EMPTY))
    planned = list(plan(STUDY, HASHES, [MetricKey("m", "2")], stored, 3))
    assert {shard.metrics for shard in planned} == {(MetricKey("m", "2"),)}
    assert all(shard.part for shard in planned)


def test_a_shard_survives_the_way_to_a_worker() -> None:
    prompt = Prompt("id", 'un "œuf" 🥚', "task", {"include": [{"class": "egg", "count": 1}]})
    (shard,) = shards(EMPTY, study=replace(TRACED, prompts=(prompt,), entries=ENTRIES[:1]))
    assert Shard.from_json(shard.to_json()) == shard


IDENTITY = {
    "model": "m",
    "weights_hash": "w",
    "recipe_id": "r",
    "benchmark": "b",
    "prompt": Prompt("p", "a dog", "task"),
    "seed": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"weights_hash": "x"},
        {"recipe_id": "s"},
        {"benchmark": "c"},
        {"prompt": Prompt("q", "a dog", "task")},
        {"prompt": Prompt("p", "a cat", "task")},
        {"seed": 1},
        {"model": "mw", "weights_hash": ""},
    ],
)
def test_whatever_determines_a_sample_changes_its_id(change: dict[str, object]) -> None:
    assert sample_id(**(IDENTITY | change)) != sample_id(**IDENTITY)


def test_a_sample_keeps_its_id_over_versions() -> None:
    """Stores outlive versions: another hash here would make every stored sample again."""
    assert sample_id(**IDENTITY) == "ac8ffcf19ebe53c63fed178af1834f65"
    relabelled = IDENTITY | {"prompt": Prompt("p", "a dog", "another task", {"tag": "x"})}
    assert sample_id(**relabelled) == sample_id(**IDENTITY)


def test_recipes_share_the_noise_of_a_prompt_and_prompts_do_not() -> None:
    first, second = (
        [item.noise_seed for item in wanted_items(STUDY, entry, "w")] for entry in ENTRIES
    )
    assert first == second
    assert len(set(first)) == 10
