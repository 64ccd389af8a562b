from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bakeoff.samplers import guided
from bakeoff.samplers.exactness import keep_bits
from bakeoff.samplers.guided import GuidedNetwork, sample_in_groups
from bakeoff.samplers.networks.meissonic import Condition, MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.meissonic_blocks import Modulation
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.trace import StepRecord
from tests.samplers.reference_masked import PlainLoop, PlainTransformer, Text

CONFIG: dict[str, Any] = {
    "num_layers": 1,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 12,
    "pooled_projection_dim": 32,
    "axes_dims_rope": (4, 6, 6),
    "vocab_size": 60,
    "codebook_size": 50,
}
SIDE = 8
MASK = 59
LOGITS_ATOL = 1e-4  # guided at scale 5


class Setting:
    """The same random weights and texts, for the plain loop and for ours."""

    def __init__(self, images: int, compressed: bool) -> None:
        config = MeissonicConfig(**CONFIG, downsample=compressed, upsample=compressed)
        self.network = MeissonicTransformer(config).eval()
        generator = torch.Generator().manual_seed(0)
        self.network.init_weights(generator)
        for module in self.network.modules():  # conditions that matter
            if isinstance(module, Modulation):
                nn.init.normal_(module.linear.weight, std=0.05, generator=generator)
        self.plain = PlainTransformer(self.network)
        keep_bits(self.network)
        states = torch.randn(images + 1, 7, 12, generator=generator)
        pooled = torch.randn(images + 1, 32, generator=generator)
        micro = torch.tensor([64.0, 64, 0, 0, 6]).expand(images + 1, 5)
        self.text = Text(states, pooled, micro)
        self.without = Text(*(t[:1].expand(images, *t.shape[1:]) for t in (states, pooled, micro)))
        self.start = torch.full((images, SIDE, SIDE), MASK)

    def guided(self) -> GuidedNetwork:
        embedded = self.network.embed_condition(self.text.states, self.text.pooled, self.text.micro)
        return GuidedNetwork(self.network, embedded, range(1, len(self.start) + 1))

    def loop(self, steps: int, scale: float) -> PlainLoop:
        return PlainLoop(self.plain, self.without, self.text[1:], steps, scale, greedy=True)


def tokens_and_marks(images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50, (images, SIDE, SIDE), generator=generator)
    where = torch.rand(images, SIDE * SIDE, generator=generator) < 0.3
    return tokens.masked_fill(where.view_as(tokens), MASK), where


@torch.inference_mode()
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_guided_logits_are_those_of_the_plain_network(compressed: bool, scale: float) -> None:
    setting = Setting(3, compressed)
    tokens, where = tokens_and_marks(3)
    expected = setting.loop(8, scale).guided(tokens, 5, scale).flatten(2).transpose(1, 2)
    predict = setting.guided()
    for timestep in (3, 4, 5):  # more than are kept
        found = predict(tokens, timestep, scale)
    torch.testing.assert_close(found, expected, atol=LOGITS_ATOL, rtol=0)
    marked = predict(tokens, 5, scale, where)
    torch.testing.assert_close(marked, expected[where], atol=LOGITS_ATOL, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("compressed", [False, True])
def test_loop_draws_the_tokens_of_the_plain_one(compressed: bool) -> None:
    setting = Setting(3, compressed)
    common = "preset=official steps=6 guidance_scale=3 temperature=0 masking_temperature=0..0"
    for zigzag in ("", " zigzag=masked(guidance=0)", " zigzag=masked(guidance=1.5)"):
        recipe = Recipe.from_text(common + zigzag)
        ours = sample_in_groups(setting.guided(), setting.start, recipe, [0, 1, 2]).tokens
        loop = setting.loop(6, 3.0)
        inversion = recipe.zigzag.guidance if recipe.zigzag else None
        plain = (
            loop.sample(setting.start)
            if inversion is None
            else loop.sample_zigzag(setting.start, inversion)
        )
        assert ours.equal(plain)


@torch.inference_mode()
@pytest.mark.parametrize("marked", [1, 2, 3, 17])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_few_wanted_positions_have_the_same_bits_in_every_batch(marked: int, scale: float) -> None:
    setting = Setting(9, compressed=True)
    tokens, _ = tokens_and_marks(9)
    where = torch.zeros(9, SIDE * SIDE, dtype=torch.bool)
    for image in range(9):
        where[image, torch.randperm(SIDE * SIDE)[:marked]] = True
    predict = setting.guided()
    together = predict(tokens, 2, scale, where).unflatten(0, (9, marked))
    for some in (slice(0, 1), slice(4, 6), slice(2, 9)):
        part = predict.part(some)(tokens[some], 2, scale, where[some])
        assert part.equal(together[some].flatten(0, 1))


@torch.inference_mode()
def test_images_are_the_same_in_groups_and_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guided, "CPU_TOKENS", 100)  # two images
    setting, recipe = Setting(9, compressed=True), Recipe.from_text("steps=4 guidance_scale=3")
    seen: list[StepRecord] = []
    seeds = list(range(9))
    groups = sample_in_groups(setting.guided(), setting.start, recipe, seeds)
    together = sample_in_groups(setting.guided(), setting.start, recipe, seeds, seen.append)
    assert groups.tokens.equal(together.tokens)
    assert (groups.row_evaluations, groups.network_calls) == (8, 4)
    assert len(seen) == 4 and len(seen[0].tokens) == 9


@torch.inference_mode()
def test_conditions_and_their_modulations_are_computed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting, asked = Setting(2, compressed=False), list[int]()
    modulate = setting.network.modulate

    def listen(condition: Condition, timestep: Tensor) -> Any:
        asked.append(int(timestep))
        return modulate(condition, timestep)

    monkeypatch.setattr(setting.network, "modulate", listen)
    recipe = Recipe.from_text("steps=3 guidance_scale=3 zigzag=low_token_prob(guidance=0)")
    sample_in_groups(setting.guided(), setting.start, recipe, [0, 1])
    assert asked == [2, 1, 0]  # the way back is at the next step's timestep


@torch.inference_mode()
def test_bfloat16_stays_close_and_predicts_in_float32() -> None:
    setting = Setting(2, compressed=True)
    tokens, where = tokens_and_marks(2)
    exact = setting.guided()(tokens, 3, 2.0, where)
    setting.network.bfloat16()
    half = setting.guided()(tokens, 3, 2.0, where)
    assert half.dtype == torch.float32
    assert (half - exact).std() < 0.08 * exact.std()
    recipe = Recipe.from_text("steps=4 guidance_scale=2")
    made = sample_in_groups(setting.guided(), setting.start, recipe, [0, 1]).tokens
    assert made.max() < 50


@torch.inference_mode()
def test_compiled_blocks_are_one_graph_and_predict_the_same() -> None:
    setting = Setting(2, compressed=True)
    tokens, where = tokens_and_marks(2)
    expected = setting.guided()(tokens, 3, 2.0, where)
    setting.network.compile_blocks(backend="eager", fullgraph=True)
    found = setting.guided()(tokens, 3, 2.0, where)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
