"""Print how fast both loops are: `python -m tests.benchmarks.samplers [--only ...] [--repeats N]`.

All on one thread, in CPU seconds, from text states or labels to tokens: loading, text encoding and
decoding to pixels are left out. Each line is the least of its repetitions; both loops of a line run
in turn, on the same random weights.
"""

import argparse
import time
from collections.abc import Callable

import torch

from bakeoff.samplers.networks.linear import linear
from tests.benchmarks import autoregressive, masked

SIZES = (512, 1024, 2048)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@torch.inference_mode()
def product_peaks(product: Callable[..., torch.Tensor]) -> dict[str, float]:
    """Return the most GFLOP/s that square matrix products reach on this machine, by dtype."""
    peaks = dict.fromkeys(DTYPES, 0.0)
    for name, dtype in DTYPES.items():
        for size in SIZES:
            x, weight = torch.randn(2, size, size).to(dtype)
            for _ in range(10):
                start = time.process_time()
                product(x, weight)
                seconds = time.process_time() - start
                peaks[name] = max(peaks[name], 2e-9 * size**3 / seconds)
    return peaks


def peaks() -> dict[str, float]:
    """Return the peaks of the faster of the two libraries that PyTorch brings; tell both."""
    found = {"F.linear": product_peaks(torch.nn.functional.linear), "ours": product_peaks(linear)}
    for library, peak in found.items():
        told = ", ".join(f"{name} {value:.0f}" for name, value in peak.items())
        print(f"matrix products through {library}: {told} GFLOP/s")
    return {name: max(peak[name] for peak in found.values()) for name in DTYPES}


def print_masked(peak: dict[str, float], repeats: int) -> None:
    print(f"\nmasked loop, {masked.STEPS} steps, guidance {masked.SCALE}, CPU s per image")
    print("config             sampler   dtype    batch  plain   ours  ratio  outside  of peak")
    for f in masked.figures(repeats=repeats):
        print(
            f"{f.config:18} {f.sampler:9} {f.dtype:8} {f.batch:5} {f.reference:6.2f} {f.ours:6.2f} "
            f"{f.ratio:5.2f}x {f.outside:8.1%} {f.gflops / peak[f.dtype]:8.1%}",
            flush=True,
        )


def print_autoregressive(peak: dict[str, float], repeats: int) -> None:
    print(f"\nautoregressive loop, {autoregressive.TOKENS} tokens, CPU s per image")
    print("codes  dtype    batch  transformers   ours  ratio  tokens/s    GB/s  of peak")
    for f in autoregressive.figures(repeats=repeats):
        print(
            f"{f.vocabulary:5}  {f.dtype:8} {f.batch:5} {f.reference:13.2f} {f.ours:6.2f} "
            f"{f.ratio:5.2f}x {f.tokens_per_second:9.0f} {f.gigabytes:7.1f} "
            f"{f.gflops / peak[f.dtype]:8.1%}",
            flush=True,
        )
    print("\nJacobi decoding of tiny-llamagen, per image")
    print("window  network calls  row-evaluations  tokens/call  CPU s")
    for j in autoregressive.jacobi_figures():
        print(
            f"{j.window:6} {j.network_calls:14.1f} {j.row_evaluations:16.1f} "
            f"{j.tokens_per_call:12.2f} {j.seconds:6.3f}",
            flush=True,
        )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("masked", "autoregressive"), default=None)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, one thread")
    peak = peaks()
    if given.only != "autoregressive":
        print_masked(peak, given.repeats)
    if given.only != "masked":
        print_autoregressive(peak, given.repeats)


if __name__ == "__main__":
    main()
