"""Speed of the masked loop against a plain one, on the same random weights.

Source of the configurations: the sizes at which the official loop was measured.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bakeoff.samplers.exactness import keep_bits
from bakeoff.samplers.guided import GuidedNetwork, sample_in_groups
from bakeoff.samplers.networks.meissonic import MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.memory import keep_freed_memory
from bakeoff.samplers.recipe import Recipe
from tests.samplers.reference_masked import PlainLoop, PlainTransformer, Text

STEPS, SCALE, TEXT, STATES = 16, 9.0, 77, 1024
SAMPLERS = {"vanilla": "", "masked Z": " zigzag=masked(guidance=0)"}
GRIDS = {"mid-8k": 16, "mid-8k-compressed": 32}  # tokens per side


@dataclass(frozen=True)
class Figure:
    """One loop of one configuration; times are CPU seconds per image."""

    config: str
    sampler: str
    dtype: str
    batch: int
    reference: float
    ours: float
    outside: float  # the share of our time that is not spent in the transformer
    gflops: float  # matrix products of ours per second

    @property
    def ratio(self) -> float:
        return self.reference / self.ours


class Watched(GuidedNetwork):
    """A guided network that notes the time and the matrix products of its calls."""

    seconds = flops = 0.0

    def part(self, images: slice) -> GuidedNetwork:
        part = super().part(images)
        part.__class__, part.whole = Watched, self  # type: ignore[attr-defined]
        return part

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        start = time.process_time()
        logits = super().__call__(tokens, timestep, scale, where)
        whole = self.__dict__.get("whole", self)
        whole.seconds += time.process_time() - start
        rows = 1 if scale in (0.0, 1.0) else 2
        marked = tokens.numel() if where is None else int(where.sum())
        whole.flops += product_flops(
            self.network.config, tokens[0].numel(), len(tokens), rows, marked
        )
        return logits


def product_flops(
    config: MeissonicConfig, tokens: int, images: int, rows: int, marked: int
) -> float:
    """Count the multiplications and additions of the matrix products of a call of ours."""
    width, length = config.width, tokens // (4 if config.downsample else 1)
    joint, single = config.num_layers, config.num_single_layers
    sequence = TEXT + length
    blocks = (joint + single) * (12 * width**2 * sequence + 2 * width * sequence**2)
    edges = width**2 * length  # out of the backbone
    into = width**2 * (tokens + length)  # embedding and into the backbone
    if config.downsample:
        edges += 4 * width**2 * length
        into += 4 * width**2 * length
    head = marked * (rows * width**2 + width * config.codebook_size)
    return 2.0 * (images * rows * (blocks + edges) + images * into + head)


class Setting:
    """The same random weights and texts for both loops."""

    def __init__(self, config: str, dtype: torch.dtype) -> None:
        keep_freed_memory()  # serves both loops
        compressed = config.endswith("compressed")
        self.network = MeissonicTransformer(
            MeissonicConfig(
                num_layers=4, num_single_layers=8, attention_head_dim=64, num_attention_heads=4,
                joint_attention_dim=STATES, pooled_projection_dim=256, axes_dims_rope=(8, 28, 28),
                downsample=compressed, upsample=compressed,
            )
        )  # fmt: skip
        self.network.init_weights(torch.Generator().manual_seed(0))
        self.network.eval().to(dtype)
        self.plain = PlainTransformer(self.network)
        keep_bits(self.network)
        self.side, self.dtype = GRIDS[config], dtype

    def text(self, images: int) -> Text:
        generator = torch.Generator().manual_seed(1)
        states = torch.randn(images, TEXT, STATES, generator=generator)
        pooled = torch.randn(images, 256, generator=generator)
        micro = torch.tensor([512.0, 512, 0, 0, 6]).expand(images, 5)
        return Text(states, pooled, micro)

    def start(self, images: int) -> Tensor:
        return torch.full((images, self.side, self.side), self.network.config.mask_token_id)

    def ours(self, sampler: str, images: int) -> Watched:
        """Run our loop from text states to tokens; return what it noted."""
        text = self.text(images + 1)
        embedded = self.network.embed_condition(text.states, text.pooled, text.micro)
        network = Watched(self.network, embedded, range(1, images + 1))
        recipe = Recipe.from_text(
            f"preset=official steps={STEPS} guidance_scale={SCALE}{SAMPLERS[sampler]}"
        )
        sample_in_groups(network, self.start(images), recipe, range(images))
        return network

    def reference(self, sampler: str, images: int) -> None:
        text = self.text(images + 1)
        without = text[:1]
        for _ in range(images - 1):
            without = without.cat(text[:1])
        loop = PlainLoop(self.plain, without, text[1:], STEPS, SCALE)
        if sampler == "vanilla":
            loop.sample(self.start(images))
        else:
            loop.sample_zigzag(self.start(images), 0.0)


@torch.inference_mode()
def measure(config: str, sampler: str, dtype: torch.dtype, batch: int, repeats: int = 1) -> Figure:
    """Run both loops in turn and take the least time of each."""
    setting = Setting(config, dtype)
    setting.ours("vanilla", 1)
    # the official Z-sampling takes one image at a time, so one tells the time of many
    images = batch if sampler == "vanilla" else 1
    ours, reference = [], []
    for _ in range(repeats):
        start = time.process_time()
        network = setting.ours(sampler, batch)
        ours.append((time.process_time() - start, network.seconds, network.flops))
        start = time.process_time()
        setting.reference(sampler, images)
        reference.append((time.process_time() - start) / images)
    seconds, inside, flops = min(ours)
    return Figure(
        config,
        sampler,
        str(dtype).removeprefix("torch."),
        batch,
        reference=min(reference),
        ours=seconds / batch,
        outside=1 - inside / seconds,
        gflops=flops / seconds / 1e9,
    )


def figures(
    batches: tuple[int, ...] = (1, 4, 8), repeats: int = 1, configs: tuple[str, ...] = tuple(GRIDS)
) -> Iterator[Figure]:
    """Measure every configuration: float32 at all batch sizes, bfloat16 at the largest."""
    for config in configs:
        for sampler in SAMPLERS:
            for batch in batches:
                yield measure(config, sampler, torch.float32, batch, repeats)
            yield measure(config, sampler, torch.bfloat16, batches[-1], repeats)
