import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from bakeoff.samplers.autoregressive import WARM_UP, Redraw, TokenSequences, generate_tokens
from bakeoff.samplers.choice_table import CHOICES, Choice
from bakeoff.samplers.cost import guided_positions, token_evaluations
from bakeoff.samplers.distribution import LEAST, temper, truncate
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.jacobi import decode_jacobi
from bakeoff.samplers.networks.checkpoint import load_state, load_weights
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.recipe import Differential, Noise, Recipe
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import StepRecord

SIZES = {"dim": 48, "n_layer": 2, "n_head": 4, "vocab_size": 61, "block_size": 36}
SIZES |= {"cls_token_num": 6, "model_type": "t2i", "caption_dim": 10}
EVERYTHING = "guidance_scale=2 temperature=0.9 noise=abs_cos differential=75 top_k=20 top_p=0.9"


def golden_network(golden_file) -> LlamaGenTransformer:
    network = LlamaGenTransformer(LlamaGenConfig.from_dict(golden_file.description["config"]))
    name = golden_file.path.stem + "_weights.safetensors"
    load_state(network, load_weights(golden_file.folder / name), source=name)
    return network.requires_grad_(False)


def golden_condition(golden_file, masked: bool) -> tuple[Tensor, Tensor | None]:
    tensors = golden_file.tensors
    if "class_ids" in tensors:
        return tensors["class_ids"], None
    return tensors["cond.embeddings"], tensors["cond.mask"] if masked else None


@pytest.mark.golden_files("llamagen/c2i", "llamagen/t2i")
def test_greedy_tokens_are_the_official_ones(golden_file) -> None:
    network, cases = golden_network(golden_file), golden_file.description["greedy"]
    assert cases
    for name, case in cases.items():
        condition = golden_condition(golden_file, masked=case.get("use_mask", True))
        recipe = Recipe(guidance_scale=case["cfg_scale"], temperature=0.0)
        if case.get("cfg_interval", -1) >= 0:  # of the step after which guidance ends
            interval = (0, case["cfg_interval"] + 2)
            recipe = recipe.model_copy(update={"guidance_interval": interval})
        drawn = generate_tokens(network, *condition, recipe, Streams(range(len(condition[0]))))
        assert torch.equal(drawn.tokens.int(), golden_file.tensors[f"greedy.{name}.tokens"]), name


@pytest.mark.golden_files("llamagen/c2i")
def test_filters_are_the_official_ones(golden_file) -> None:
    cases, logits = golden_file.description["filters"], golden_file.tensors["filter.in"]
    assert cases
    atol = float(golden_file.description["tolerance"]["filter probs"].split()[1])
    for index, case in enumerate(cases):
        log_probs = temper(logits, case["temperature"])
        found = truncate(log_probs, case["top_k"] or None, case["top_p"]).exp()
        expected = golden_file.tensors[f"filter.{index}.probs"]
        # which of several equal logits crosses top-p is up to the sort: compare by value
        for values in (lambda p: p, lambda p: torch.where(p > 0, logits, -torch.inf)):
            torch.testing.assert_close(
                values(found).sort().values,
                values(expected).sort().values,
                atol=atol,
                rtol=0,
                msg=json.dumps(case),
            )


@pytest.fixture(scope="module")
def network() -> LlamaGenTransformer:
    torch.manual_seed(0)
    network = LlamaGenTransformer(LlamaGenConfig.from_dict(SIZES))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


def conditions(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(rows, 6, 10, generator=generator)
    mask = torch.arange(6) >= torch.randint(0, 6, (rows, 1), generator=generator)
    return states * mask[..., None], mask.long()


def plain_loop(network: LlamaGenTransformer, states, mask, recipe: Recipe, seed: int) -> Tensor:
    """One image without cache, batch or shared functions: the loop as the paper's text has it."""
    streams, steps, scale = Streams([seed]), network.config.block_size, recipe.guidance_scale
    tokens = torch.zeros(1, steps, dtype=torch.long)
    previous, history = None, []
    for j in range(steps):
        c = network(tokens, states, mask)[0, j]
        u = network(tokens, network.uncond_embedding[None], mask)[0, j]
        start, stop = recipe.guidance_interval or (0, steps)
        logits = (u + scale * (c - u) if start <= j < stop else c).double()
        if recipe.noise:
            deviation = recipe.noise.amplitude * abs(
                torch.cos(torch.tensor(torch.pi * j / (steps - 1)))
            )
            logits = logits + deviation * streams.normal("regularization", j, (len(logits),))[0]
        p = current = F.softmax(logits / recipe.temperature, dim=0)
        if recipe.differential and previous is not None:
            history.append((current * (current / previous).log()).sum())
            lower = sum(bool(d < history[-1]) for d in history)
            allowed = int(len(history) * recipe.differential.percent / 100)
            if len(history) >= WARM_UP and lower < allowed:
                p = (current - previous).abs()
                p = p / p.sum()
        previous = current
        if recipe.top_k:
            p = torch.where(p >= p.sort(descending=True)[0][recipe.top_k - 1], p, 0.0)
            p = p / p.sum()
        order = p.argsort(descending=True)
        before = p[order].cumsum(0) - p[order]
        p[order[before > recipe.top_p]] = 0.0
        cumulative = p.cumsum(0) / p.sum()
        if recipe.argmax_from is not None and j >= recipe.argmax_from:
            tokens[0, j] = p.argmax()
            continue
        tokens[0, j] = (cumulative <= streams.uniform("tokens", 0, (steps,))[0, j]).sum()
    return tokens[0]


@pytest.mark.parametrize(
    "recipe",
    [
        "guidance_scale=3",
        "guidance_scale=2 noise=abs_cos",
        "guidance_scale=2 differential=75",
        "guidance_scale=3 guidance_interval=4..30 argmax_from=20",
        EVERYTHING,
    ],
)
def test_the_loop_is_the_plain_one(network: LlamaGenTransformer, recipe: str) -> None:
    states, mask = conditions(3)
    chosen = Recipe.from_text(recipe)
    drawn = generate_tokens(network, states, mask, chosen, Streams([5, 6, 7]))
    for row, seed in enumerate([5, 6, 7]):
        one = slice(row, row + 1)
        expected = plain_loop(network, states[one], mask[one], chosen, seed)
        assert torch.equal(drawn.tokens[row], expected)


@pytest.mark.parametrize(
    "recipe", ["", "guidance_scale=3", f"{EVERYTHING} guidance_interval=3..20 argmax_from=30"]
)
def test_tokens_do_not_depend_on_the_batch(network: LlamaGenTransformer, recipe: str) -> None:
    states, mask = conditions(9)
    chosen = Recipe.from_text(recipe)
    runs = []
    for size in (1, 3, 9):
        parts = [
            generate_tokens(network, states[rows], mask[rows], chosen, Streams(rows.tolist()))
            for rows in torch.arange(9).split(size)
        ]
        runs.append(torch.cat([part.tokens for part in parts]))
    assert all(torch.equal(run, runs[0]) for run in runs[1:])
    assert len(runs[0].unique(dim=0)) == 9


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [("", 36), ("guidance_scale=2", 72), ("guidance_scale=2 guidance_interval=5..20", 56)],
)
def test_a_token_costs_one_row_evaluation_and_guidance_doubles_it_until_its_end(
    network: LlamaGenTransformer, recipe: str, expected: int
) -> None:
    fed, images = [], 20  # so many that no row is there only to fill up
    hook = network.layers[0].attention.register_forward_hook(lambda _, x, y: fed.append(len(x[0])))
    streams = Streams(range(images))
    drawn = generate_tokens(network, *conditions(images), Recipe.from_text(recipe), streams)
    hook.remove()
    assert drawn.row_evaluations.tolist() == [expected] * images
    assert drawn.network_calls.tolist() == [36] * images
    assert sum(fed) == images * expected
    assert len(fed) == 36


def test_a_callback_sees_every_position(network: LlamaGenTransformer) -> None:
    seen: list[StepRecord] = []
    batch = network, *conditions(3), Recipe.from_text("differential=75"), Streams(range(3))
    drawn = generate_tokens(*batch, seen.append)
    assert torch.equal(drawn.tokens, generate_tokens(*batch).tokens)
    assert [record.step for record in seen] == list(range(36))
    for step, record in enumerate(seen):
        known = record.tokens.flatten(1)
        assert torch.equal(known[:, : step + 1], drawn.tokens[:, : step + 1])
        assert (known[:, step + 1 :] == -1).all()
        assert record.masked.tolist() == [35 - step] * 3
        assert ((record.entropy > 0) & (record.entropy < math.log(61))).all()
        assert torch.equal(record.divergence.isnan(), torch.full((3,), step == 0))
    redrawn = torch.stack([record.redrawn for record in seen])
    assert not redrawn[:WARM_UP].any()
    assert set(redrawn.unique().tolist()) == {0.0, 1.0}


def test_divergence_is_of_what_tokens_were_drawn_from(network: LlamaGenTransformer) -> None:
    seen: list[StepRecord] = []
    certain = Recipe.from_text("top_k=1")
    drawn = generate_tokens(network, *conditions(3), certain, Streams(range(3)), seen.append).tokens
    changed = (drawn[:, 1:] != drawn[:, :-1]).float()
    assert 0 < changed.mean() < 1
    found = torch.stack([record.divergence for record in seen[1:]], dim=1)
    torch.testing.assert_close(found, -LEAST * changed)
    assert all(record.entropy.tolist() == [0, 0, 0] for record in seen)


def test_redraw_waits_then_replaces_the_lowest_changes_of_each_image() -> None:
    generator = torch.Generator().manual_seed(0)
    # image 0 changes less and less, image 1 more and more
    pace = torch.linspace(3.0, 0.1, 40)
    logits = (
        torch.randn(40, 1, 12, generator=generator)
        * torch.stack([pace, pace.flip(0)], 1)[..., None]
    )
    log_probs = logits.log_softmax(dim=-1)
    redraw = Redraw(Differential(percent=50, rule="abs", carry="raw"))
    changed = torch.stack([(redraw(p) != p).any(dim=-1) for p in log_probs])
    assert not changed[:WARM_UP].any()
    assert changed[WARM_UP:, 0].float().mean() > 0.7
    assert changed[WARM_UP:, 1].float().mean() < 0.3
    assert redraw.previous is not None
    assert torch.equal(redraw.previous, log_probs[-1])


def test_redraw_of_all_keeps_the_modified_distribution_when_told_to() -> None:
    log_probs = torch.randn(20, 1, 12, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    redraw = Redraw(Differential(percent=100, rule="positive", carry="modified"))
    results = [redraw(p) for p in log_probs]
    assert all(
        not torch.equal(r, p) for r, p in zip(results[WARM_UP:], log_probs[WARM_UP:], strict=True)
    )
    change = (log_probs[-1].exp() - results[-2].exp()).clamp_min(1e-6)
    torch.testing.assert_close(results[-1].exp(), change / change.sum())


def either(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", *texts])


def made_or_none(texts: tuple[str, ...]) -> Recipe | None:
    try:
        return Recipe.from_text(" ".join(texts))
    except InputError:
        return None


CURVES = Noise.model_fields["curve"].annotation.__args__
CHOSEN = (
    either("guidance_scale=3.5", "guidance_scale=1000"),
    either("guidance_interval=0..1", "guidance_interval=3..20", "guidance_interval=35..36"),
    either("temperature=0", "temperature=0.001", "temperature=0.7", "temperature=1000"),
    either(*(f"noise={curve}({amplitude})" for curve in CURVES for amplitude in (1, 1000))),
    either(
        *(
            f"differential={percent}(rule={rule},carry={carry})"
            for percent in (5, 75, 100)
            for rule in ("abs", "positive")
            for carry in ("raw", "modified")
        )
    )
    | either("jacobi=2", "jacobi=7", "jacobi=4096"),
    either("argmax_from=0", "argmax_from=20"),
    either("top_k=1", "top_k=20", "top_k=1000"),
    either("top_p=0.001", "top_p=0.9"),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    recipe=st.tuples(*CHOSEN).map(made_or_none).filter(bool),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_any_recipe_draws_valid_tokens_at_the_cost_told(
    network: LlamaGenTransformer, recipe: Recipe, seeds: list[int], data: st.DataObject
) -> None:
    """And an image does not depend on the others of its batch, nor on their order."""
    recipe.check_family("autoregressive")
    recipe.check_length(36)
    states, mask = (x.repeat(20, *[1] * (x.ndim - 1)) for x in conditions(5))
    loop = decode_jacobi if recipe.jacobi else generate_tokens
    drawn = loop(network, states[seeds], mask[seeds], recipe, Streams(seeds))
    assert drawn.tokens.shape == (len(seeds), 36)
    assert ((drawn.tokens >= 0) & (drawn.tokens < 61)).all()
    check_cost(recipe, drawn)
    order = data.draw(st.permutations(range(len(seeds))))[: data.draw(st.integers(1, len(seeds)))]
    chosen = [seeds[place] for place in order]
    again = loop(network, states[chosen], mask[chosen], recipe, Streams(chosen))
    assert torch.equal(again.tokens, drawn.tokens[order])
    assert again.row_evaluations.tolist() == drawn.row_evaluations[order].tolist()


def check_cost(recipe: Recipe, drawn: TokenSequences) -> None:
    """Check that costs are as told: a pass of Jacobi decoding takes its window in each row."""
    if not recipe.jacobi:
        assert set(drawn.row_evaluations) == {token_evaluations(recipe, 36)}
        assert set(drawn.network_calls) == {36}
        return
    window, stop = min(recipe.jacobi.window, 35), guided_positions(recipe, 36).stop
    assert (drawn.network_calls <= 36).all()
    given = 1 + window * (drawn.network_calls - 1)
    without = drawn.row_evaluations - given
    if stop in (0, 36):
        assert without.tolist() == (given if stop else 0 * given).tolist()
    else:
        assert ((without >= 1) & (without <= given)).all()
        assert not ((without - 1) % window).any()


# All but those that set the cost of plain sampling, and that of another family.
COSTED = [
    choice
    for choice in CHOICES
    if choice.field != "guidance_scale" and "autoregressive" in choice.families
]


@pytest.mark.parametrize("choice", COSTED, ids=[choice.example for choice in COSTED])
def test_choices_cost_the_row_evaluations_they_tell(
    network: LlamaGenTransformer, choice: Choice
) -> None:
    loop = decode_jacobi if choice.recipe.jacobi else generate_tokens
    drawn = loop(network, *conditions(1), choice.recipe, Streams([3]))
    cost = choice.costs["autoregressive"]
    if isinstance(cost, str):
        window, calls = int(cost.split()[0]), int(drawn.network_calls[0])
        assert drawn.row_evaluations.tolist() == [2 * (1 + window * (calls - 1))]
    else:
        assert drawn.row_evaluations.tolist() == [2 * 36 + cost(36)]
