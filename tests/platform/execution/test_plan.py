"""The plan is what is wanted less what is stored, however it is cut."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.platform.execution.plan import WINDOW, Count, Plan, Shard, sample_id
from bakeoff.platform.store.stored import Ids, MetricKey, Places, StageKey, Stored
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.platform.studies.study import Entry, Model, Study
from bakeoff.samplers.recipe import Recipe

MODEL = Model("small", "small", "masked")
ENTRIES = (
    Entry("small/a", MODEL, Recipe(steps=4), (0, 1), baseline=True),
    Entry("small/b", MODEL, Recipe(steps=8), (0, 1)),
)
PROMPTS = tuple(Prompt(f"p{n}", f"prompt {n}", "task") for n in range(5))
STUDY = Study("s", "", "prompts", PROMPTS, ENTRIES, ("m", "n"))
METRICS = (MetricKey("m", "1"), MetricKey("n", "1"))
HASHES = {"small": "w"}


class Held(NamedTuple):
    """What a store holds, in so many words."""

    samples: Mapping[str, str] = MappingProxyType({})  # file name of the part, by sample_id
    scores: frozenset[tuple[str, str, str]] = frozenset()  # (sample_id, metric, metric_version)
    traced: frozenset[str] = frozenset()  # sample_id
    failed: frozenset[tuple[str, str, str | None]] = frozenset()  # (sample_id, stage, version)

    def stored(self) -> Stored:
        """Return it as a store is read."""
        keys = {key[1:] for key in self.scores}
        stages = {key[1:] for key in self.failed}
        return Stored(
            Places.of(self.samples),
            {MetricKey(*key): Ids.of([i for i, *k in self.scores if (*k,) == key]) for key in keys},
            Ids.of(sorted(self.traced)),
            {
                StageKey(*key): Ids.of([i for i, *k in self.failed if (*k,) == key])
                for key in stages
            },
        )


def plan(held: Held, study: Study = STUDY, metrics: tuple[MetricKey, ...] = METRICS) -> Plan:
    return Plan(study, HASHES, metrics, held.stored())


def shards(held: Held, size: int = 3, study: Study = STUDY) -> list[Shard]:
    return list(plan(held, study).shards(lambda entry, lack: size))


def wanted(entry: Entry, study: Study = STUDY) -> list:
    """Return all samples of an entry."""
    found = plan(Held(), study).wanted(entry)
    return list(found.items(range(len(found))))


EVERY = [item.sample_id for entry in ENTRIES for item in wanted(entry)]


def store_results(held: Held, done: Iterable[Shard]) -> Held:
    """Return what a store holds after these shards."""
    samples, scores, traced = dict(held.samples), set(held.scores), set(held.traced)
    for shard in done:
        for item in shard.items:
            samples.setdefault(item.sample_id, f"part-{shard.shard_id}.parquet")
            scores |= {(item.sample_id, *metric) for metric in shard.metrics}
            traced |= {item.sample_id} if shard.traces else set()
    return Held(samples, frozenset(scores), frozenset(traced))


held_states = st.builds(
    lambda samples, scores, traced: Held(
        {identity: f"part-{n % 3}.parquet" for n, identity in enumerate(sorted(samples))},
        frozenset(scores),
        frozenset(traced),
    ),
    st.sets(st.sampled_from(EVERY)),
    st.sets(st.tuples(st.sampled_from(EVERY), st.sampled_from("mn"), st.sampled_from("01"))),
    st.sets(st.sampled_from(EVERY)),
)
TRACED = replace(STUDY, traces=True)


@given(held_states, st.integers(1, 40))
@settings(deadline=None)
def test_the_plan_is_the_set_difference(held: Held, size: int) -> None:
    made, scored = Counter[str](), Counter[tuple[str, str, str]]()
    for shard in shards(held, size):
        assert 1 <= len(shard.items) <= size
        for item in shard.items:
            assert shard.part == held.samples.get(item.sample_id)
            made[item.sample_id] += shard.part is None
            scored.update((item.sample_id, *metric) for metric in shard.metrics)
    assert +made == Counter(set(EVERY) - set(held.samples))
    lacking = {(identity, name, "1") for identity in EVERY for name in "mn"} - held.scores
    assert scored == Counter(lacking)
    due = {identity for identity, *_ in lacking} | (set(EVERY) - set(held.samples))
    assert plan(held).count() == Count(len(due), +Counter(small=made.total()))


@given(held_states, st.integers(1, 40))
@settings(deadline=None)
def test_a_study_with_traces_has_every_sample_traced_once(held: Held, size: int) -> None:
    planned = shards(held, size, TRACED)
    again = Counter(i.sample_id for s in planned if s.traces and s.part for i in s.items)
    made = Counter(i.sample_id for s in planned if not s.part for i in s.items)
    assert again == Counter(set(held.samples) - held.traced)
    assert made == Counter(set(EVERY) - set(held.samples))
    assert all(shard.traces for shard in planned if not shard.part)
    assert all(not shard.needs_model for shard in planned if shard.part and not shard.traces)


@given(held_states, st.integers(1, 40), st.data())
@settings(deadline=None)
def test_nothing_is_left_after_any_interruption(held: Held, size: int, data: st.DataObject) -> None:
    study = data.draw(st.sampled_from([STUDY, TRACED]))
    planned = shards(held, size, study)
    survived = [shard for shard in planned if data.draw(st.booleans())]
    held = store_results(held, survived)
    held = store_results(held, shards(held, 7, study))
    assert shards(held, study=study) == []
    assert plan(held, study).count() == Count(0, {})


def test_what_failed_for_good_is_left_out_and_the_rest_planned() -> None:
    first, second, third = EVERY[:3]
    failed = {
        (first, "n", "1"),
        (first, "m", "0"),  # of a version that nobody asks for now
        (second, "trace", None),
        (third, "generate", None),
        (EVERY[3], "generate", None),
    }
    held = Held({first: "a", second: "a", third: "a"}, failed=frozenset(failed))
    planned = shards(held, 40, TRACED)
    lacking = {(i.sample_id, bool(s.part), s.traces, s.metrics) for s in planned for i in s.items}
    both = tuple(METRICS)
    assert (
        lacking
        == {
            (first, True, True, both[:1]),
            (second, True, False, both),
            (third, True, True, both),  # it was made after all
            *((other, False, True, both) for other in EVERY[4:]),
        }
    )


def test_shard_ids_are_distinct_and_repeat() -> None:
    first, second = shards(Held()), shards(Held())
    assert [shard.shard_id for shard in first] == [shard.shard_id for shard in second]
    assert len({shard.shard_id for shard in first}) == len(first) == 8


def test_a_new_recipe_is_all_that_is_planned() -> None:
    held = store_results(Held(), shards(Held()))
    added = Entry("small/c", MODEL, Recipe(steps=9), (0, 1))
    planned = shards(held, study=replace(STUDY, entries=(*ENTRIES, added)))
    assert {shard.recipe for shard in planned} == {"steps=9"}
    assert sum(len(shard.items) for shard in planned) == 10


def test_a_new_metric_version_scores_again_and_makes_nothing() -> None:
    held = store_results(Held(), shards(Held()))
    planned = list(plan(held, STUDY, (MetricKey("m", "2"),)).shards(lambda entry, lack: 3))
    assert {shard.metrics for shard in planned} == {(MetricKey("m", "2"),)}
    assert all(shard.part for shard in planned)


def test_a_shard_survives_the_way_to_a_worker() -> None:
    prompt = Prompt("id", 'un "œuf" 🥚', "task", {"include": [{"class": "egg", "count": 1}]})
    (shard,) = shards(Held(), study=replace(TRACED, prompts=(prompt,), entries=ENTRIES[:1]))
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


def test_samples_of_many_windows_have_their_ids_and_their_order() -> None:
    prompts = (*PROMPTS, Prompt("p", 'un "œuf" 🥚', "task"))
    entry = replace(ENTRIES[0], seeds=tuple(range(-1, 2 * WINDOW // len(prompts))))
    study = replace(STUDY, prompts=prompts, entries=(entry,))
    found = plan(Held(), study).wanted(entry)
    identity = {"model": "small", "weights_hash": "w", "recipe_id": entry.recipe.recipe_id}
    expected = [
        sample_id(**identity, benchmark="prompts", prompt=prompt, seed=seed)
        for seed in entry.seeds
        for prompt in prompts
    ]
    windows = [digests for _, digests in found.windows()]
    assert len(windows) == 3 and max(map(len, windows)) == WINDOW
    assert [one.ljust(16, b"\0").hex() for one in np.concatenate(windows)] == expected
    items = [item for shard in shards(Held(), 1000, study) for item in shard.items]
    assert [item.sample_id for item in items] == expected
    assert [(i.prompt, i.seed) for i in items[:7]][-2:] == [
        (prompts[-1].prompt, -1),
        ("prompt 0", 0),
    ]


def test_the_size_of_a_shard_is_asked_for_when_it_is_cut() -> None:
    sizes = iter([1, 4, 2, 3, 10])
    found = plan(Held()).shards(lambda entry, lack: next(sizes))
    assert [len(shard.items) for shard in found] == [1, 4, 2, 3, 10]


def test_samples_of_a_part_go_together_and_new_ones_with_new_ones() -> None:
    held = Held({identity: f"part-{n % 2}" for n, identity in enumerate(EVERY[1:9])})
    found = [(shard.part, len(shard.items)) for shard in shards(held, 40)]
    assert found == [(None, 2), ("part-0", 4), ("part-1", 4), (None, 10)]


def test_what_needs_a_model_can_be_planned_apart() -> None:
    held = store_results(Held(), shards(Held())[:2])._replace(scores=frozenset())
    every = {shard.shard_id for shard in shards(held)}
    apart = [
        list(plan(held).shards(lambda entry, lack: 3, [entry], needs_model=needed))
        for entry in ENTRIES
        for needed in (True, False)
    ]
    assert {len(part) for part in apart[:2]} == {2}
    assert {shard.shard_id for part in apart for shard in part} == every
    assert all(not shard.needs_model for shard in apart[1] + apart[3])


def test_recipes_share_the_noise_of_a_prompt_and_prompts_do_not() -> None:
    first, second = ([item.noise_seed for item in wanted(entry)] for entry in ENTRIES)
    assert first == second
    assert len(set(first)) == 10
