import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bakeoff.samplers.autoregressive import generate_tokens
from bakeoff.samplers.catalog import load_sampler
from bakeoff.samplers.distribution import guide, temper, truncate
from bakeoff.samplers.jacobi import accepted, decode_jacobi, residual
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import StepRecord

SIZES = {"dim": 48, "n_layer": 2, "n_head": 4, "vocab_size": 61, "block_size": 36}
SIZES |= {"cls_token_num": 6, "model_type": "t2i", "caption_dim": 10}
GREEDY = [
    "temperature=0",
    "temperature=0 guidance_scale=3",
    "temperature=0 guidance_scale=2 guidance_interval=5..20 noise=abs_cos",
    "argmax_from=0 top_k=20 top_p=0.9 guidance_scale=2 guidance_interval=0..9",
]
EVERYTHING = (
    "guidance_scale=2 guidance_interval=3..17 noise=abs_cos top_k=20 top_p=0.9 argmax_from=30"
)


def random_network(**settings: int) -> LlamaGenTransformer:
    torch.manual_seed(0)
    network = LlamaGenTransformer(LlamaGenConfig.from_dict(SIZES | settings))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def network() -> LlamaGenTransformer:
    return random_network()


def conditions(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(rows, 6, 10, generator=generator)
    mask = torch.arange(6) >= torch.randint(0, 6, (rows, 1), generator=generator)
    return states * mask[..., None], mask.long()


@pytest.mark.golden_files("llamagen/sjd_accept")
def test_a_round_of_verification_is_the_official_one(golden_file) -> None:
    for case in map(str, range(len(golden_file.description["cases"]))):
        data = golden_file.part(case)
        now, then = data["advanced_prob"][:, :-1], data["draft_prob"][:, 1:]
        drafts = data["draft_tokens"][:, 1:, None]
        probability = (now.gather(2, drafts)[..., 0], then.gather(2, drafts)[..., 0])
        held = accepted(*probability, data["uniform"][:, 1:])
        assert torch.equal(held + 1, data["first_misaligned"])
        for row, end in enumerate(held.tolist()):
            tokens = [*data["draft_tokens"][row, 1 : end + 1].tolist()]
            if end < now.shape[1]:
                rest = residual(now[row, end], then[row, end])
                torch.testing.assert_close(rest, data["residual_prob"][row], atol=1e-6, rtol=0)
                tokens.append(int(rest.argmax()))
            else:
                tokens.append(int(data["advanced_tokens"][row, -1]))
            assert tokens == data["tokens_out"][row, : end + 1].tolist()


@pytest.mark.parametrize(
    ("text", "window"),
    [("", 2), ("guidance_scale=3 temperature=0.8", 3), ("guidance_scale=2 top_p=0.8", 16)],
)
def test_sequences_follow_the_distribution_of_the_plain_loop(text: str, window: int) -> None:
    """Chi-square of 4000 images against the exact probabilities of all 81 sequences."""
    recipe, images = Recipe.from_text(f"{text} jacobi={window}"), 4000
    network = random_network(vocab_size=3, block_size=4)
    states, mask = (x[:1] for x in conditions(1))
    sequences = torch.tensor(list(itertools.product(range(3), repeat=4)))
    rows = len(sequences)
    logits = network(sequences, states.expand(rows, -1, -1), mask.expand(rows, -1))
    without = network(sequences, network.unconditional(rows), mask.expand(rows, -1))
    logits = guide(without, logits, recipe.guidance_scale)
    log_probs = truncate(temper(logits, recipe.temperature), recipe.top_k, recipe.top_p)
    expected = log_probs.gather(2, sequences[..., None])[..., 0].sum(dim=1).exp().double()
    torch.testing.assert_close(expected.sum(), torch.tensor(1.0).double(), atol=1e-5, rtol=0)

    batch = states.expand(images, -1, -1), mask.expand(images, -1)
    drawn = decode_jacobi(network, *batch, recipe, Streams(range(images)))
    index = (drawn.tokens * torch.tensor([27, 9, 3, 1])).sum(dim=1)
    counts = torch.bincount(index, minlength=rows).numpy()
    share = (expected / expected.sum()).numpy()
    assert counts[share == 0].sum() == 0
    rare = share * images < 5  # together they are one cell
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(share[~rare], share[rare].sum()) * images
    seen, wanted = seen[wanted > 0], wanted[wanted > 0]
    assert len(seen) > 5
    assert stats.chisquare(seen, wanted).pvalue > 0.01


@pytest.mark.parametrize("text", GREEDY)
@pytest.mark.parametrize("window", [2, 36])
def test_without_chance_tokens_are_those_of_the_plain_loop(
    network: LlamaGenTransformer, text: str, window: int
) -> None:
    batch = *conditions(5), Recipe.from_text(text), Streams(range(5))
    plain = generate_tokens(network, *batch)
    states, mask, recipe, streams = batch
    recipe = Recipe.from_text(f"{recipe} jacobi={window}")
    drawn = decode_jacobi(network, states, mask, recipe, streams)
    assert torch.equal(drawn.tokens, plain.tokens)
    assert (drawn.network_calls <= plain.network_calls).all()


@pytest.mark.parametrize(("text", "window"), [("guidance_scale=3", 3), (EVERYTHING, 16)])
def test_tokens_and_costs_do_not_depend_on_the_batch(
    network: LlamaGenTransformer, text: str, window: int
) -> None:
    states, mask = conditions(9)
    recipe, runs = Recipe.from_text(f"{text} jacobi={window}"), []
    for size in (1, 3, 9):
        parts = [
            decode_jacobi(network, states[rows], mask[rows], recipe, Streams(rows.tolist()))
            for rows in torch.arange(9).split(size)
        ]
        costs = [np.concatenate([p.row_evaluations for p in parts]).tolist()]
        runs.append((torch.cat([p.tokens for p in parts]), costs))
    for tokens, costs in runs[1:]:
        assert torch.equal(tokens, runs[0][0])
        assert costs == runs[0][1]
    assert len(runs[0][0].unique(dim=0)) == 9


def test_a_row_has_the_same_bits_whatever_the_lengths_of_its_neighbours() -> None:
    network = random_network(block_size=576)  # more slots than one block of keys
    tokens = torch.randint(61, (3, 575))
    states, mask = conditions(3)
    starts = torch.tensor([280, 40, 570])

    def window(rows: list[int]) -> Tensor:
        _, cache = network.prefill(states[rows], mask[rows])
        first = torch.zeros(len(rows), dtype=torch.long)
        network.decode_window(tokens[rows], first, cache)
        fed = torch.stack([tokens[row, starts[row] : starts[row] + 5] for row in rows])
        return network.decode_window(fed, starts[rows], cache, end=int(starts[rows].max()) + 5)

    together = window([0, 1, 2])
    for row in range(3):
        assert torch.equal(window([row])[0], together[row])


def test_a_pass_costs_its_positions_and_rows_without_condition_end_with_guidance(
    network: LlamaGenTransformer,
) -> None:
    fed = []
    hook = network.layers[0].attention.register_forward_hook(
        lambda _, x, y: fed.append(x[0].shape[:2].numel())
    )
    recipe = Recipe.from_text("guidance_scale=2 guidance_interval=0..12 jacobi=16")
    drawn = decode_jacobi(network, *conditions(10), recipe, Streams(range(10)))
    hook.remove()
    assert len(fed) == drawn.network_calls.max()
    assert len(set(drawn.network_calls.tolist())) > 1
    prefill = 6 * 2 * 10
    assert fed[0] == prefill
    assert sum(fed[1:]) == drawn.row_evaluations.sum() - 2 * 10
    passes = (drawn.row_evaluations - 2) / 16  # of both kinds of rows
    assert (passes > drawn.network_calls - 1).all()
    assert (passes < 2 * (drawn.network_calls - 1)).all()


def test_a_callback_sees_tokens_settle_image_by_image(network: LlamaGenTransformer) -> None:
    seen: list[StepRecord] = []
    recipe = Recipe.from_text("guidance_scale=2 jacobi=8")
    batch = network, *conditions(4), recipe, Streams(range(4))
    drawn = decode_jacobi(*batch, seen.append)
    assert torch.equal(drawn.tokens, decode_jacobi(*batch).tokens)
    assert [record.step for record in seen] == list(range(drawn.network_calls.max()))
    for before, after in itertools.pairwise(seen):
        settled = before.tokens >= 0
        assert torch.equal(after.tokens[settled], before.tokens[settled])
        assert torch.equal(after.masked, (after.tokens < 0).sum(dim=(1, 2)))
        finished = before.masked == 0
        assert (after.masked[~finished] < before.masked[~finished]).all()
        assert torch.equal(after.entropy.isnan(), finished)
    assert torch.equal(seen[-1].tokens.flatten(1), drawn.tokens)


def test_tiny_llamagen_draws_alike_with_fewer_passes() -> None:
    sampler = load_sampler("tiny-llamagen")
    prompts, centres, calls = ["a red circle"] * 80, [], []
    for text, seed in (("temperature=1.2", 0), ("temperature=1.2 jacobi=8", 10_000)):
        with torch.inference_mode():
            states, mask = sampler.text.encode(prompts)
            loop = decode_jacobi if "jacobi" in text else generate_tokens
            streams = Streams(range(seed, seed + len(prompts)))
            drawn = loop(sampler.network, states, mask, Recipe.from_text(text), streams)
        drawn_on = drawn.tokens != drawn.tokens.mode(dim=1, keepdim=True).values
        places = torch.arange(drawn_on.shape[1])
        centres.append(((drawn_on * places).sum(dim=1) / drawn_on.sum(dim=1)).numpy())
        calls.append(drawn.network_calls.mean())
    assert len(np.unique(centres[0])) > 5
    assert stats.ks_2samp(*centres).pvalue > 0.01
    assert calls[1] < 0.9 * calls[0]
