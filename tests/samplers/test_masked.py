import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bakeoff.samplers.choice_table import CHOICES
from bakeoff.samplers.cost import network_calls, row_evaluations
from bakeoff.samplers.distribution import temper
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.masked import MaskedSample, sample_masked
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.remasking import backtrack, backtrack_score, gumbel, remask
from bakeoff.samplers.schedules import masked_after, masking_temperatures, raw_counts
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import StepRecord
from tests.samplers.masked_recipes import RECIPES
from tests.samplers.plain_masked import plain_sample

CODES, MASK, GRID = 20, 25, (6, 5)
MASK_CODE = CODES - 1  # of the codes, as in MaskGIT, the last stands for the mask


class Network:
    """A small deterministic network: every position looks at all tokens, the step and the scale."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.embedding = torch.randn(MASK + 1, CODES, generator=generator, dtype=torch.float64)
        self.places = torch.randn(30, CODES, generator=generator, dtype=torch.float64)
        self.calls: list[tuple[int, float]] = []

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        self.calls.append((timestep, scale))
        seen = self.embedding[tokens.flatten(1)]  # [B, K, C]
        mixed = seen.roll(1, dims=1) + seen.mean(dim=1, keepdim=True) + 0.1 * timestep
        logits = ((1 + scale) * (mixed * self.places).sin()).float()
        return logits if where is None else logits[where]


def sample(
    text: str, seeds: list[int], callback: Callable[[StepRecord], None] | None = None
) -> MaskedSample:
    start = torch.full((len(seeds), *GRID), MASK)
    recipe, streams = Recipe.from_text(text), Streams(seeds)
    return sample_masked(Network(), start, MASK, recipe, streams, callback, MASK_CODE)


def token_major(logits: Tensor) -> Tensor:
    return logits.flatten(2).transpose(1, 2)


@pytest.mark.golden_files("meissonic/step_vanilla")
def test_step_masks_what_the_official_one_masks(golden_file: Any) -> None:
    for case in golden_file.description["cases"]:
        tensors, mask = golden_file.part(case["id"]), case["mask_token_id"]
        tokens, step, steps = tensors["in.sample"], case["step_index"], case["N"]
        unknown = tokens.flatten(1) == mask
        log_probs = temper(token_major(tensors["in.logits"]), 1.0)
        drawn = torch.where(unknown, tensors["in.drawn_tokens"], tokens.flatten(1))
        assert drawn.view_as(tokens).equal(tensors["out.pred_original_sample"])
        confidence = log_probs.gather(-1, tensors["in.drawn_tokens"].unsqueeze(-1)).squeeze(-1)
        noise = gumbel(tensors["in.uniform"])
        torch.testing.assert_close(noise, tensors["in.gumbel"], atol=1e-5, rtol=1e-5)
        temperature = masking_temperatures(*case["temperature_range"], steps)[step]
        score = (confidence + temperature * noise).masked_fill(~unknown, torch.inf)
        raw = raw_counts(Recipe().schedule, steps, unknown.shape[1])
        count = masked_after(int(raw[step]), unknown.sum(dim=1), last=step == steps - 1)
        result = remask(drawn, score, count, mask)
        assert result.view_as(tokens).equal(tensors["out.prev_sample"])


@pytest.mark.golden_files("meissonic/zigzag_backtrack")
def test_backtrack_masks_what_the_official_one_masks(golden_file: Any) -> None:
    for case in golden_file.description["cases"]:
        tensors, mask = golden_file.part(case["id"]), case["mask_token_id"]
        before, after = tensors["in.z_before_forward"], tensors["in.z_after_forward"]
        log_probs = temper(token_major(tensors["in.inversion_logits"]), 1.0)
        flat = after.flatten(1)
        known, score = flat != mask, torch.zeros(flat.shape)
        rows, nothing = log_probs[known], torch.zeros(int(known.sum()))
        score[known] = backtrack_score("high_max_prob", rows, flat[known], nothing)
        back = backtrack(before, after, score, "high_max_prob", mask)
        assert back.equal(tensors["out.z_backtracked_official"])
        # the paper's order on the official count
        score = torch.full(flat.shape, torch.inf)
        score[known] = backtrack_score("low_token_prob", rows, flat[known], nothing)
        lowest = remask(flat, score, torch.tensor([case["n_remasked"]]), mask).view_as(after)
        assert lowest.equal(tensors["out.alt_lowest_prob_of_kept_token"])


def test_backtrack_counts_every_image_for_itself() -> None:
    generator = torch.Generator().manual_seed(2)
    after = torch.randint(0, CODES, (3, *GRID), generator=generator)
    before = after.clone()
    for image, (known, revealed) in enumerate([(10, 5), (20, 1), (3, 9)]):
        before[image].view(-1)[known:] = MASK
        after[image].view(-1)[known + revealed :] = MASK
    score = torch.rand(3, 30, generator=generator)
    for rule, spared in (("low_token_prob", 0), ("random", 0), ("high_max_prob", 1)):
        back = backtrack(before, after, score, rule, MASK)
        masked = (back == MASK).sum(dim=(1, 2)) - (before == MASK).sum(dim=(1, 2))
        assert masked.tolist() == [-spared] * 3
        assert ((back == MASK) | (back == after)).all()
        alone = backtrack(before[1:2], after[1:2], score[1:2], rule, MASK)
        assert alone.equal(back[1:2])


def test_paper_and_official_backtracks_prefer_opposite_tokens() -> None:
    log_probs = torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log()
    tokens, nothing = torch.tensor([0, 1]), torch.zeros(2)
    paper = backtrack_score("low_token_prob", log_probs, tokens, nothing)
    official = backtrack_score("high_max_prob", log_probs, tokens, nothing)
    assert paper.argmin() == 1 and official.argmin() == 0


LITERAL = Recipe.from_text("steps=9 momentum=2(rule=paper_literal) zigzag=random(stop=4)")
# The second-order solver takes codes to probability zero, where divergences would be infinite.
IMPOSSIBLE = Recipe.from_text("steps=16 guidance_scale=2 momentum=2 differential=75")
TWICE = Recipe.from_text("steps=4 differential=75 zigzag=low_token_prob")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(recipe=RECIPES, seeds=st.lists(st.integers(0, 10**18), min_size=1, max_size=4))
@example(recipe=LITERAL, seeds=[0, 1, 2])
def test_any_recipe_fills_in_valid_tokens_on_schedule_at_its_cost(
    recipe: Recipe, seeds: list[int]
) -> None:
    network, records = Network(), list[StepRecord]()
    start = torch.full((len(seeds), *GRID), MASK)
    made = sample_masked(network, start, MASK, recipe, Streams(seeds), records.append, MASK_CODE)
    drawn, allowed = set(made.tokens.flatten().tolist()), set(range(CODES))
    if recipe.drawn_mask != "keep":
        allowed -= {MASK_CODE}
    if recipe.drawn_mask == "remask":
        allowed |= {MASK}
    assert drawn <= allowed  # so nothing else is left masked
    rows = sum(1 if scale in (0, 1) else 2 for _, scale in network.calls)
    assert made.row_evaluations == rows == row_evaluations(recipe, recipe.steps)
    assert made.network_calls == len(network.calls) == network_calls(recipe, recipe.steps)
    check_counts(recipe, records)


def check_counts(recipe: Recipe, records: list[StepRecord]) -> None:
    raw = raw_counts(recipe.schedule, recipe.steps, 30)
    before = after = torch.full_like(records[0].masked, 30)
    for record in records:
        assert record.masked.equal((record.tokens == MASK).sum(dim=(1, 2)))
        if record.phase == "backtrack":
            spared = 1 if recipe.zigzag.rule == "high_max_prob" else 0
            assert record.masked.equal(torch.maximum(before - spared, after))
            after = record.masked
        else:
            before, last = after, record.step == recipe.steps - 1
            after = record.masked
            behind = recipe.momentum and recipe.momentum.pool == "all" and not last
            if recipe.drawn_mask == "remask":
                assert behind or (after >= masked_after(int(raw[record.step]), before, last)).all()
            elif behind:
                assert (after <= before).all()  # it falls behind the schedule
            else:
                assert after.equal(masked_after(int(raw[record.step]), before, last))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    recipe=RECIPES,
    seeds=st.lists(st.integers(0, 10**18), min_size=1, max_size=4),
    known=st.integers(0, 29),
)
@example(recipe=LITERAL, seeds=[0, 1, 2], known=0)
@example(recipe=IMPOSSIBLE, seeds=[0, 1, 2], known=3)
@example(recipe=TWICE, seeds=[0, 1, 2], known=0)
def test_any_recipe_makes_the_image_of_the_plain_loop_in_any_batch(
    recipe: Recipe, seeds: list[int], known: int
) -> None:
    start = torch.full((len(seeds), *GRID), MASK)
    start[0].view(-1)[:known] = 7  # one image begins further on
    records = list[StepRecord]()
    common = {"mask_token_id": MASK, "recipe": recipe, "mask_code": MASK_CODE}
    made = sample_masked(
        Network(), start, streams=Streams(seeds), callback=records.append, **common
    ).tokens
    turned = sample_masked(Network(), start.flip(0), streams=Streams(seeds[::-1]), **common).tokens
    assert turned.flip(0).equal(made)
    for place, seed in enumerate(seeds):
        tokens, masked = plain_sample(Network(), start[place], MASK, recipe, seed, MASK_CODE)
        assert [int(record.masked[place]) for record in records] == masked
        assert made[place].equal(tokens)


# All but those that set the cost of plain sampling, and that of another family.
COSTED = [
    choice
    for choice in CHOICES
    if choice.field not in ("steps", "row_evaluations", "guidance_scale")
    and "masked" in choice.families
]


@pytest.mark.parametrize("choice", COSTED, ids=[choice.example for choice in COSTED])
@pytest.mark.parametrize("steps", [16, 21])
def test_choices_cost_the_row_evaluations_they_tell(choice: Any, steps: int) -> None:
    made = sample(f"steps={steps} guidance_scale=4 {choice.example}", [0])
    assert made.row_evaluations == 2 * steps + choice.costs["masked"](steps)


def test_every_choice_of_a_recipe_is_told_of() -> None:
    assert {choice.field for choice in CHOICES} == {
        *Recipe.model_fields,
        "row_evaluations",
    }


@pytest.mark.parametrize(
    ("text", "rows", "calls"),
    [
        ("steps=10", 10, 10),
        ("steps=10 guidance_scale=2", 20, 10),
        ("steps=10 guidance_scale=2 zigzag=high_max_prob(guidance=1)", 47, 28),
        ("steps=10 guidance_scale=2 zigzag=low_token_prob(guidance=9)", 56, 28),
        ("steps=10 guidance_scale=2 zigzag=low_token_prob(stop=4)", 32, 18),
        ("steps=10 guidance_scale=2 zigzag=random", 38, 19),
        ("steps=10 guidance_scale=2 zigzag=recover", 20, 10),
        ("steps=10 zigzag=low_token_prob", 28, 28),
    ],
)
def test_row_evaluations_count_each_row_per_image(text: str, rows: int, calls: int) -> None:
    made = sample(text, [0, 1])
    assert (made.row_evaluations, made.network_calls) == (rows, calls)


def test_network_is_told_the_steps_that_are_left() -> None:
    network = Network()
    start = torch.full((1, *GRID), MASK)
    recipe = Recipe.from_text("steps=3 guidance_scale=2 zigzag=low_token_prob(guidance=0.5)")
    sample_masked(network, start, MASK, recipe, Streams([0]))
    first, second = [(2, 2.0), (1, 0.5), (2, 2.0)], [(1, 2.0), (0, 0.5), (1, 2.0)]
    assert network.calls == [*first, *second, (0, 2.0)]


def test_known_tokens_of_the_start_stay() -> None:
    start = torch.full((2, *GRID), MASK)
    start[0, 0], start[1, :, 2] = 7, 9
    recipe = Recipe.from_text("steps=6 noise=abs_cos differential=75")
    made = sample_masked(Network(), start, MASK, recipe, Streams([0, 1])).tokens
    assert (made[0, 0] == 7).all() and (made[1, :, 2] == 9).all() and (made < CODES).all()


CHANGES = [
    "noise=abs_cos",
    "differential=75",
    "differential=75(rule=positive)",
    "differential=75(carry=modified)",
    "differential=75(pool=masked)",
    "zigzag=low_token_prob",
    "zigzag=high_max_prob",
    "zigzag=random",
    "zigzag=recover",
    "schedule=linear",
    "top_k=2",
    "top_p=0.3",
    "temperature=0.5",
    "masking_temperature=0..0",
    "masking_temperature=2..2",
    "schedule=karras_a(2,begin=0.7,end=0.3)",
    "noise=const",
    "noise=linear_down",
    "noise=linear_up",
    "noise=sin",
    "differential=75(last=true)",
    "differential=75(compare=steps) zigzag=low_token_prob",
    "differential=75 zigzag=low_token_prob",
    "zigzag=low_token_prob(start=2)",
    "zigzag=low_token_prob(stop=2)",
    "argmax_from=3",
    "guidance_interval=2..5",
    "momentum=2",
    "momentum=2(cap=0.1)",
    "momentum=2(space=logits)",
    "momentum=2(rule=paper_literal)",
    "momentum=1(pool=all)",
    "momentum=2 zigzag=recover",
    "guidance_schedule=linear",
    "temperature_schedule=linear(0.5)",
    "temperature_schedule=constant(warmup=2)",
    "schedule=arccos",
    "schedule=arccos(counts=inclusive)",
    "schedule=arccos(counts=increments)",
    "order=halton",
    "order=halton(roll=true)",
    "order=halton zigzag=low_token_prob",
    "order=random",
    "order=confidence(known=redraw)",
    "drawn_mask=suppress",
    "drawn_mask=remask",
    "momentum=2 order=halton",
]


def test_every_choice_has_an_effect_of_its_own() -> None:
    texts = [f"steps=8 guidance_scale=2 {change}" for change in ["", *CHANGES]]
    made = [tuple(sample(text, [0, 1, 2]).tokens.flatten().tolist()) for text in texts]
    assert len(set(made)) == len(made)


def test_adding_a_choice_does_not_shift_the_noise_of_others() -> None:
    seen: dict[str, dict[tuple[str, int], list[float]]] = {}

    class Listening(Streams):
        def uniform(self, purpose: str, step: int, shape: Any) -> Tensor:
            numbers = super().uniform(purpose, step, shape)
            assert (purpose, step) not in drawn, "two draws share one stream"
            drawn[purpose, step] = numbers.flatten().tolist()
            return numbers

    for change in ["", *CHANGES]:
        drawn = seen[change] = {}
        recipe = Recipe.from_text(f"steps=6 guidance_scale=2 {change}")
        start = torch.full((1, *GRID), MASK)
        sample_masked(Network(), start, MASK, recipe, Listening([5]), mask_code=MASK_CODE)
    for drawn in seen.values():  # the solver ranks without noise
        shared = {key: drawn[key] for key in seen[""] if key in drawn}
        assert shared.items() <= seen[""].items()
        assert {key for key in seen[""] if key not in drawn} <= {
            ("confidence", i) for i in range(6)
        }


def test_differential_sampling_spares_the_first_and_the_last_step() -> None:
    records: list[StepRecord] = []
    redrawn = sample("steps=3 differential=100", [0, 1, 2], records.append).tokens
    assert [record.redrawn.tolist() for record in records] == [[0] * 3, [1] * 3, [0] * 3]
    assert not redrawn.equal(sample("steps=3", [0, 1, 2]).tokens)


def test_a_percentage_of_no_token_is_refused() -> None:
    tokens = GRID[0] * GRID[1]
    least = 100 / tokens
    sample(f"steps=3 differential={least + 0.01:.2f}", [0])
    percent = f"{least - 0.01:.2f}"
    with pytest.raises(InputError, match=f"differential={percent} .* of the {tokens} tokens"):
        sample(f"steps=3 differential={percent}", [0])


@pytest.mark.parametrize("preset", ["paper", "official"])
@pytest.mark.parametrize(("compare", "treated"), [("calls", True), ("steps", False)])
def test_second_leg_of_the_first_step_is_compared_with_the_first(
    preset: str, compare: str, treated: bool
) -> None:
    records: list[StepRecord] = []
    text = f"steps=3 preset={preset} differential=50(compare={compare}) zigzag=random"
    sample(text, [0, 1], records.append)
    redrawn = [bool((r.redrawn > 0).all()) for r in records if r.phase == "forward"]
    assert redrawn == [False, treated, True, True, False]


@pytest.mark.parametrize("pool", ["all", "masked"])
def test_solver_leaves_differential_sampling_its_whole_share(pool: str) -> None:
    records: list[StepRecord] = []
    text = f"steps=9 guidance_scale=2 momentum=2 differential=75(pool={pool})"
    sample(text, [0, 1], records.append)
    before = torch.tensor([30, 30])
    for record in records[:-1]:
        if pool == "masked" and record.step:
            assert (record.redrawn * before).round().equal((before * 0.75).floor())
        assert (
            record.divergence.isnan().all()
            if record.step == 0
            else record.divergence.isfinite().all()
        )
        before = record.masked


def test_loop_compares_no_tensors_as_wholes() -> None:
    class Watch(TorchFunctionMode):
        """Refuse what makes a GPU's host wait only to find that two masks are the same."""

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            assert function not in (torch.equal, Tensor.equal)
            return function(*args, **(kwargs or {}))

    with Watch():
        for change in ("", "differential=75", "differential=75(pool=masked)", "momentum=2"):
            sample(f"steps=4 {change}", [0, 1])


def test_recovering_draws_the_same_step_again_from_where_it_began() -> None:
    records: list[StepRecord] = []
    sample("steps=4 zigzag=recover", [0], records.append)
    phases = [record.phase for record in records]
    assert phases == ["forward", "backtrack", "forward"] * 3 + ["forward"]
    assert (records[1].tokens == MASK).all()
    assert records[4].tokens.equal(records[2].tokens)
    assert not records[2].tokens.equal(records[0].tokens)


def test_first_order_momentum_is_plain_sampling_without_masking_noise() -> None:
    for choices in ("", "noise=abs_cos differential=75 zigzag=low_token_prob schedule=linear"):
        solved = sample(f"steps=7 momentum=1 {choices}", [0, 1])
        plain = sample(f"steps=7 masking_temperature=0..0 {choices}", [0, 1])
        assert solved.tokens.equal(plain.tokens)


def test_second_order_momentum_starts_as_first_order() -> None:
    records: dict[int, list[StepRecord]] = {1: [], 2: []}
    for order, seen in records.items():
        sample(f"steps=6 momentum={order}", [0, 1, 2], seen.append)
    same = [a.tokens.equal(b.tokens) for a, b in zip(records[1], records[2], strict=True)]
    assert same[0] and not same[-1]


def test_argmax_draws_do_not_depend_on_the_seed_but_masking_noise_stays() -> None:
    seeds = [0, 1, 2]
    fixed, noisy = (
        sample(f"steps=6 argmax_from=0{change}", seeds).tokens
        for change in (" masking_temperature=0..0", "")
    )
    assert all(fixed[0].equal(other) for other in fixed)
    assert not noisy[0].equal(noisy[1])
    assert noisy.equal(sample("steps=6 temperature=0", seeds).tokens)


def test_guidance_interval_asks_the_network_for_one_row_outside() -> None:
    network = Network()
    recipe = Recipe.from_text(
        "steps=4 guidance_scale=3 guidance_interval=1..2 zigzag=low_token_prob(start=1,stop=3)"
    )
    sample_masked(network, torch.full((1, *GRID), MASK), MASK, recipe, Streams([0]))
    first, last = [(3, 1.0)], [(0, 1.0)]
    turned = [(2, 3.0), (1, 0.0), (2, 3.0)], [(1, 1.0), (0, 0.0), (1, 1.0)]
    assert network.calls == [*first, *turned[0], *turned[1], *last]


def test_trace_tells_what_the_draws_were_like() -> None:
    records: list[StepRecord] = []
    text = "steps=5 guidance_scale=2 differential=50(compare=steps) zigzag=random"
    sample(text, [0, 1], records.append)
    forward = [record for record in records if record.phase == "forward"]
    for record in forward:
        assert (record.entropy > 0).all() and (record.entropy < math.log(CODES)).all()
        # the two legs of the first step have none before them
        assert record.divergence.isnan().all() == (record.step == 0)
        assert ((record.redrawn > 0) == (0 < record.step < 4)).all()
    for record in records:
        if record.phase == "backtrack":
            assert torch.stack([record.entropy, record.divergence, record.redrawn]).isnan().all()


def test_trace_measures_entropy_and_divergence_in_nats() -> None:
    class Fixed(Network):
        """Two codes with probabilities that the timestep sets."""

        def __call__(self, tokens: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            logits = super().__call__(tokens, *args, **kwargs)
            odds = torch.tensor([[0.5, 0.5], [0.25, 0.75]][args[0]])
            return torch.full_like(logits, -torch.inf).index_copy(
                -1, torch.tensor([0, 1]), odds.log().expand(*logits.shape[:-1], 2)
            )

    records: list[StepRecord] = []
    start = torch.full((1, *GRID), MASK)
    sample_masked(Fixed(), start, MASK, Recipe(steps=2), Streams([0]), records.append)
    quarters = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert [record.entropy.item() for record in records] == pytest.approx([quarters, math.log(2)])
    divergence = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert records[1].divergence.item() == pytest.approx(divergence)


def test_looking_does_not_change_the_image() -> None:
    text = "steps=6 guidance_scale=2 noise=abs_cos differential=75(pool=masked) zigzag=random"
    assert sample(text, [3, 4]).tokens.equal(sample(text, [3, 4], lambda record: None).tokens)


def test_recipe_of_another_family_is_refused() -> None:
    with pytest.raises(InputError, match="steps is missing"):
        sample("guidance_scale=2", [0])
