"""Speed of the autoregressive loop against transformers' `generate`; what Jacobi decoding saves.

Source of the configuration: the sizes at which the official loop was measured.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from bakeoff.samplers.autoregressive import TokenSequences, generate_tokens
from bakeoff.samplers.catalog import load_sampler
from bakeoff.samplers.jacobi import decode_jacobi
from bakeoff.samplers.llamagen import LlamaGenSampler
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.streams import Streams

TOKENS, WIDTH, HIDDEN, LAYERS, HEADS, SCALE = 256, 256, 768, 8, 8, 4.0
VOCABULARIES = (512, 16384)
PROMPTS = ("a red circle", "a blue square above a green ring", "two yellow triangles")


@dataclass(frozen=True)
class Figure:
    """One configuration with guidance; times are CPU seconds per image.

    `reference` draws as many rows, without guidance: it has none for batches. `products` and
    `attention` are the parts of our time that these take when they run alone.
    """

    vocabulary: int
    dtype: str
    batch: int
    reference: float
    ours: float
    products: float
    attention: float

    @property
    def ratio(self) -> float:
        return self.reference / self.ours

    @property
    def tokens_per_second(self) -> float:
        return TOKENS / self.ours

    @property
    def gflops(self) -> float:
        """Matrix products of ours per second, of the two rows of an image and one for the head."""
        layers = LAYERS * (4 * WIDTH**2 + 3 * WIDTH * HIDDEN)
        return 2 * TOKENS * (2 * layers + WIDTH * self.vocabulary) / self.ours / 1e9

    @property
    def gigabytes(self) -> float:
        """What the layers read per second at the least: all weights, and the filled cache."""
        size = 2 if self.dtype == "bfloat16" else 4
        weights = LAYERS * (4 * WIDTH**2 + 3 * WIDTH * HIDDEN) + WIDTH * self.vocabulary
        cache = 2 * LAYERS * WIDTH * TOKENS / 2 * 2 * self.batch
        return size * TOKENS * (weights + cache) / (self.ours * self.batch) / 1e9


@dataclass(frozen=True)
class JacobiFigure:
    """What a window costs an image of tiny-llamagen on average; window 1 is plain decoding."""

    window: int
    batch: int
    network_calls: float
    row_evaluations: float
    tokens_per_call: float
    seconds: float  # CPU seconds per image


def random_network(vocabulary: int, dtype: torch.dtype) -> LlamaGenTransformer:
    """Return the class-conditional network of the configuration with random weights."""
    config = LlamaGenConfig(
        dim=WIDTH, n_layer=LAYERS, n_head=HEADS, vocab_size=vocabulary, block_size=TOKENS
    )
    torch.manual_seed(0)
    network = LlamaGenTransformer(config)
    nn.init.normal_(network.output.weight, std=0.02)
    network.eval().to(dtype)
    network.pack()
    return network


def our_loop(vocabulary: int, dtype: torch.dtype, batch: int) -> Callable[[], object]:
    """Return our loop over `batch` guided images."""
    network, labels = random_network(vocabulary, dtype), torch.arange(batch)
    recipe, streams = Recipe(guidance_scale=SCALE), Streams(range(batch))
    return lambda: generate_tokens(network, labels, None, recipe, streams)


def reference_loop(vocabulary: int, dtype: torch.dtype, rows: int) -> Callable[[], object]:
    """Return transformers' loop over `rows` rows, with a static cache."""
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=HIDDEN,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, tie_word_embeddings=False,
        max_position_embeddings=TOKENS + 1, bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().to(dtype)
    start = torch.zeros(rows, 1, dtype=torch.long)
    return lambda: model.generate(
        start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=TOKENS,
        do_sample=True,
        top_k=0,
        cache_implementation="static",
        disable_compile=True,
    )


def products_alone(vocabulary: int, dtype: torch.dtype, batch: int) -> Callable[[], object]:
    """Return the matrix products that our loop does, and nothing else."""
    network = random_network(vocabulary, dtype)
    rows = torch.randn(2 * batch, 1, WIDTH).to(dtype)
    inner = torch.randn(len(rows), 1, HIDDEN).to(dtype)

    def run() -> None:
        for _ in range(TOKENS):
            for layer in network.layers:
                layer.attention.wqkv(rows), layer.attention.wo(rows)
                layer.feed_forward.w1(rows), layer.feed_forward.w3(rows)
                layer.feed_forward.w2(inner)
            network.head(rows[:batch])

    return run


def attention_alone(dtype: torch.dtype, batch: int) -> Callable[[], object]:
    """Return the attention that our loop does, and nothing else."""
    shape = LAYERS, 2 * batch, HEADS, TOKENS, WIDTH // HEADS
    keys, values = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    query = keys[0, :, :, :1]

    def run() -> None:
        for end in range(1, TOKENS):
            for k, v in zip(keys, values, strict=True):
                nn.functional.scaled_dot_product_attention(query, k[:, :, :end], v[:, :, :end])

    return run


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


@torch.inference_mode()
def measure(vocabulary: int, dtype: torch.dtype, batch: int, repeats: int = 3) -> Figure:
    """Run all loops in turn and take the least time of each."""
    loops = (
        reference_loop(vocabulary, dtype, 2 * batch),
        our_loop(vocabulary, dtype, batch),
        products_alone(vocabulary, dtype, batch),
        attention_alone(dtype, batch),
    )
    for loop in loops:
        loop()
    rounds = [[cpu_seconds(loop) / batch for loop in loops] for _ in range(repeats)]
    times = (min(column) for column in zip(*rounds, strict=True))
    return Figure(vocabulary, str(dtype).removeprefix("torch."), batch, *times)


def figures(batches: tuple[int, ...] = (1, 4, 8), repeats: int = 3) -> Iterator[Figure]:
    """Measure both vocabularies: float32 at all batch sizes, bfloat16 at the largest."""
    for vocabulary in VOCABULARIES:
        for batch in batches:
            yield measure(vocabulary, torch.float32, batch, repeats)
        yield measure(vocabulary, torch.bfloat16, batches[-1], repeats)


@torch.inference_mode()
def jacobi_figures(
    windows: tuple[int, ...] = (1, 4, 8, 16), batch: int = 8, batches: int = 4
) -> Iterator[JacobiFigure]:
    """Draw images of tiny-llamagen with several windows; costs are means over them."""
    sampler = load_sampler("tiny-llamagen")
    assert isinstance(sampler, LlamaGenSampler)
    prompts = [PROMPTS[image % len(PROMPTS)] for image in range(batch)]
    states, mask = sampler.text.encode(prompts)
    for window in windows:
        recipe = Recipe.from_text(f"guidance_scale=1.5 {f'jacobi={window}' * (window > 1)}")
        loop = decode_jacobi if window > 1 else generate_tokens
        drawn: list[TokenSequences] = []
        start = time.process_time()
        for number in range(batches):
            streams = Streams(range(number * batch, (number + 1) * batch))
            drawn.append(loop(sampler.network, states, mask, recipe, streams))
        seconds = (time.process_time() - start) / (batch * batches)
        calls = sum(part.network_calls.mean() for part in drawn) / batches
        rows = sum(part.row_evaluations.mean() for part in drawn) / batches
        tokens = sampler.network.config.block_size
        yield JacobiFigure(window, batch, calls, rows, tokens / calls, seconds)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for figure in figures():
        print(figure, f"ratio {figure.ratio:.2f}, {figure.gflops:.0f} Gflop/s")
    for saved in jacobi_figures():
        print(saved)
