"""The foreman gives each sample to one worker, which keeps its model, and few slips at a time."""

from collections import Counter
from itertools import count, groupby, islice

import pytest

from bakeoff.platform.execution.foreman import (
    SLIPS_AHEAD,
    SPARE_SLIPS,
    TOO_EARLY,
    Asking,
    Crew,
    Foreman,
    Measured,
)
from bakeoff.platform.execution.pace import Speed
from bakeoff.platform.execution.plan import Plan, Shard
from bakeoff.platform.store.stored import MetricKey, Places, Stored
from bakeoff.platform.studies.benchmarks import Prompt
from bakeoff.platform.studies.study import Entry, Model, Study
from bakeoff.samplers.recipe import Recipe

RECIPE = Recipe(steps=4)
PROMPTS = tuple(Prompt(f"p{n}", f"prompt {n}", "task") for n in range(10))
METRICS = (MetricKey("m", "1"),)


def study(**seeds: int) -> Study:
    """Return a study of an entry for each model, with so many seeds of ten prompts each."""
    entries = tuple(
        Entry(f"{name}/r", Model(name, name, "masked"), RECIPE, tuple(range(count)))
        for name, count in seeds.items()
    )
    return Study("s", "", "prompts", PROMPTS, entries, ("m",))


def plan(held: Stored | None = None, **seeds: int) -> Plan:
    return Plan(study(**seeds), dict.fromkeys(seeds, "w"), METRICS, held or Stored())


def foreman(plan: Plan, workers: int = 2, batch_size: int = 5) -> Foreman:
    found = Foreman(lambda: plan, plan.count(), Crew(workers, batch_size))
    found.open()
    return found


def work_off(found: Foreman, workers: int, seconds: float = 1.0) -> list[list[Shard]]:
    """Let workers ask in turn until nothing is left; return what each was given."""
    given: list[list[Shard]] = [[] for _ in range(workers)]
    asking = [Asking(f"w{number}", "gpu") for number in range(workers)]
    for turn in count():
        if (slip := found.slip()) is None:
            return given
        assert slip != TOO_EARLY
        number = turn % workers
        if (text := found.take(slip, asking[number])) is not None:
            shard = Shard.from_json(text)
            given[number].append(shard)
            if shard.needs_model:
                speed = Speed(len(shard.items), seconds * len(shard.items), 1)
                measured = Measured(shard.model, shard.recipe_id, speed)
                asking[number] = Asking(f"w{number}", "gpu", shard.model, measured)
        found.done(slip)
    raise AssertionError


def stored(plan: Plan, shards: int, size: int) -> Stored:
    """Return a store that holds the samples of the first shards of a plan, and no score."""
    first = islice(plan.shards(lambda entry, lack: size), shards)
    return Stored(
        Places.of({i.sample_id: f"part-{n}" for n, s in enumerate(first) for i in s.items})
    )


@pytest.mark.parametrize("held", [0, 7])
def test_every_sample_is_given_out_once(held: int) -> None:
    whole = plan(a=12, b=4)
    found = foreman(plan(stored(whole, held, 5), a=12, b=4), workers=3)
    given = [shard for own in work_off(found, 3) for shard in own]
    ids = Counter(item.sample_id for shard in given for item in shard.items)
    assert len(ids) == 160 and set(ids.values()) == {1}
    assert sum(len(shard.items) for shard in given if not shard.needs_model) == held * 5


def test_shards_are_batches_until_the_speed_is_known_and_again_at_the_end() -> None:
    sizes = [len(shard.items) for shard in work_off(foreman(plan(a=60)), 1)[0]]
    assert sizes[:2] == [5, 45] and sizes[-1] == 5
    assert sizes[1:] == sorted(sizes[1:], reverse=True)


def test_models_run_at_once_and_each_worker_keeps_its_own_while_there_is_work_for_it() -> None:
    given = work_off(foreman(plan(a=60, b=20), workers=4), 4)
    orders = [[model for model, _ in groupby(s.model for s in own)] for own in given]
    assert Counter(order[0] for order in orders) == {"a": 3, "b": 1}
    assert all(len(order) == len(set(order)) for order in orders)


def test_fewer_workers_than_models_take_one_after_the_other() -> None:
    (own,) = work_off(foreman(plan(a=2, b=4, c=3), workers=1), 1)
    assert [model for model, _ in groupby(shard.model for shard in own)] == ["b", "c", "a"]


def test_slips_are_no_more_than_keep_the_workers_busy() -> None:
    found = foreman(plan(a=1000), workers=2)
    untaken = []
    while slip := found.slip():
        untaken.append(slip)
    assert len(untaken) == 2 + SPARE_SLIPS
    for slip in untaken:
        found.take(slip, Asking("w", "gpu"))
    found.done(untaken.pop())
    while slip := found.slip():  # the others are done by nobody
        untaken.append(slip)
        found.take(slip, Asking("w", "gpu"))
    assert slip == TOO_EARLY and len(untaken) == SLIPS_AHEAD * 2 + SPARE_SLIPS
    found.done(untaken[0])
    assert found.slip()


def test_samplers_do_not_wait_for_scorers_that_have_no_room_beside_them() -> None:
    found = foreman(plan(a=100), workers=2)
    while slip := found.slip():
        found.take(slip, Asking("w", "gpu"))
    assert slip is None


def test_a_slip_means_the_same_shard_to_whoever_holds_it() -> None:
    found = foreman(plan(a=2))
    slip = found.slip()
    assert slip
    first = found.take(slip, Asking("died", "gpu"))
    other = found.take(found.slip() or 0, Asking("lives", "gpu"))
    assert found.take(slip, Asking("lives", "gpu", "a")) == first != other


def test_what_is_only_to_be_scored_goes_out_beside_the_rest_and_leaves_it_room() -> None:
    whole = plan(a=1000, b=4)
    found = foreman(plan(stored(whole, 10, 1000), a=1000, b=4), workers=2)
    given = []
    found.done(0)  # of a scorer, which lives, but is slow
    while slip := found.slip():
        given.append(Shard.from_json(found.take(slip, Asking("w", "gpu")) or ""))
    assert [shard.needs_model for shard in given].count(True) > len(given) // 3
    assert not given[0].needs_model


def test_a_plan_that_came_out_shorter_than_counted_ends() -> None:
    whole = plan(a=4)
    found = Foreman(lambda: plan(stored(whole, 2, 20), a=4), whole.count(), Crew(2, 5))
    found.open()
    assert work_off(found, 2) == [[], []]


def test_a_plan_that_came_out_longer_than_counted_is_worked_off() -> None:
    found = Foreman(lambda: plan(a=4), plan(a=2).count(), Crew(2, 5))
    found.open()
    given = work_off(found, 2)
    assert sum(len(shard.items) for own in given for shard in own) == 40


def test_slips_are_given_out_by_one_process_only() -> None:
    found = foreman(plan(a=1))
    with pytest.raises(RuntimeError, match="was lost"):
        found.open()


def test_a_slip_that_is_done_is_given_no_other_work() -> None:
    """As when its worker dies after its row has arrived: nobody would hear of what it makes now."""
    found = foreman(plan(a=2))
    slip = found.slip() or 0
    first = found.take(slip, Asking("died", "gpu"))
    found.done(slip)
    assert first and found.take(slip, Asking("lives", "gpu")) is None
    rest = [shard for own in work_off(found, 1) for shard in own]
    assert sum(len(shard.items) for shard in [Shard.from_json(first), *rest]) == 20
