"""Seconds and memory of full-size networks on a CPU: two steps each, with random weights.

`python -m tests.benchmarks.full_size` measures each network in a process of its own, as many
threads as OMP_NUM_THREADS says; `… full_size NAME DTYPE` one of them in this process.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import nn

from bakeoff.samplers.exactness import keep_bits
from bakeoff.samplers.guided import GuidedNetwork, sample_in_groups
from bakeoff.samplers.networks.llamagen import LlamaGenConfig, LlamaGenTransformer
from bakeoff.samplers.networks.meissonic import MeissonicConfig, MeissonicTransformer
from bakeoff.samplers.networks.memory import keep_freed_memory
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.stopwatch import Stopwatch

STEPS = 2
PARAMETERS = {"meissonic-1024": 1.01e9, "llamagen-c2i-xl-384": 0.77e9}
BYTES = {"float32": 4, "bfloat16": 2}
ROOM = 3e9  # bytes besides the weights, generously
MEISSONIC = MeissonicConfig(
    num_layers=14, num_single_layers=28, attention_head_dim=128, num_attention_heads=8,
    joint_attention_dim=1024, pooled_projection_dim=1024, axes_dims_rope=(16, 56, 56),
    downsample=True, upsample=True,
)  # fmt: skip
LLAMAGEN = LlamaGenConfig(dim=1280, n_layer=36, n_head=20, block_size=24**2)


@dataclass(frozen=True)
class Figure:
    """One guided image: two rows a forward pass. Seconds are of one pass, and of the work on its
    logits where that was measured; memory is the most that the process had."""

    network: str
    dtype: str
    threads: int
    condition_seconds: float  # of what comes before the first step
    forward_seconds: float
    draw_seconds: float
    peak_gb: float = 0.0


def random_network(build: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    """Build a network without ever holding it in another dtype."""
    with torch.device("meta"):
        network = build().to(dtype)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.02, generator=generator)
    return network.eval()


def meissonic(dtype: torch.dtype) -> tuple[float, float, float]:
    """Run the masked loop over 64×64 tokens; return the seconds of a figure."""
    keep_freed_memory()
    network = random_network(lambda: MeissonicTransformer(MEISSONIC), dtype)
    assert isinstance(network, MeissonicTransformer)
    keep_bits(network)
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(2, 77, 1024, generator=generator)
    pooled = torch.randn(2, 1024, generator=generator)
    micro = torch.tensor([1024.0, 1024, 0, 0, 6]).expand(2, 5)
    start = perf_counter()
    embedded = network.embed_condition(states, pooled, micro)
    condition = perf_counter() - start
    clock = Stopwatch(torch.device("cpu"))
    predict = GuidedNetwork(network, embedded, [1], clock)
    tokens = torch.full((1, 64, 64), MEISSONIC.mask_token_id)
    recipe = Recipe.from_text(f"preset=official steps={STEPS} guidance_scale=9")
    sample_in_groups(predict, tokens, recipe, [0])
    clock.lap("draw")
    seconds = clock.seconds()
    return condition, seconds["network"] / STEPS, seconds["draw"] / STEPS


def llamagen(dtype: torch.dtype) -> tuple[float, float, float]:
    """Feed a class and the first tokens; return the seconds of a figure."""
    network = random_network(lambda: LlamaGenTransformer(LLAMAGEN), dtype)
    assert isinstance(network, LlamaGenTransformer)
    network.pack()
    start = perf_counter()
    hidden, cache = network.prefill(torch.tensor([207, LLAMAGEN.num_classes]))
    condition = perf_counter() - start
    clock = Stopwatch(torch.device("cpu"))
    for _ in range(STEPS):
        token = network.head(hidden[:1]).argmax(dim=-1)
        clock.lap("draw")
        hidden = network.decode(token.repeat(2), cache)
        clock.lap("network")
    seconds = clock.seconds()
    return condition, seconds["network"] / STEPS, seconds["draw"] / STEPS


@torch.inference_mode()
def measure(name: str, dtype: str) -> Figure:
    """Measure one network in this process."""
    run = {"meissonic-1024": meissonic, "llamagen-c2i-xl-384": llamagen}[name]
    seconds = run(getattr(torch, dtype))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # of kibibytes
    return Figure(name, dtype, torch.get_num_threads(), *seconds, peak_gb=peak)


def available() -> float:
    """Return the bytes that a new process may take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Measure what fits into memory, one process after the other."""
    print(f"{'network':<20} {'dtype':<9} threads condition s  forward s     draw s    peak GB")
    for name, parameters in PARAMETERS.items():
        for dtype, size in BYTES.items():
            if parameters * size + ROOM > available():
                print(f"{name:<20} {dtype:<9} does not fit into the memory that is free")
                continue
            command = [sys.executable, "-m", "tests.benchmarks.full_size", name, dtype]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figure = Figure(**json.loads(said))
            seconds = (figure.condition_seconds, figure.forward_seconds, figure.draw_seconds)
            told = "".join(f"{value:>11.2f}" for value in (*seconds, figure.peak_gb))
            print(f"{name:<20} {dtype:<9} {figure.threads:>7}{told}")


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(asdict(measure(*sys.argv[1:]))))
    else:
        main()
