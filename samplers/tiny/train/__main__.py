"""Train the embedded models, all or one, and write their checkpoints.

Every part resumes from its last state in the training folder; a finished part only exports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from bakeoff.samplers.tiny.train.classes import TinyClassLlamaGen, TinyMaskGIT
from bakeoff.samplers.tiny.train.generators import TinyLlamaGen, TinyMeissonic
from bakeoff.samplers.tiny.train.judge import TinyJudge
from bakeoff.samplers.tiny.train.loop import Schedule, Trainable, train
from bakeoff.samplers.tiny.train.tokenizers import TinyLlamaGenVQ, TinyVQModel

WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class Part:
    """One thing to train: what, how long, and where its checkpoint goes under the weights."""

    build: Callable[[Path], Trainable]
    schedule: Schedule
    place: str


PARTS = {
    "vq": Part(lambda _: TinyVQModel(), Schedule(2500, 8, 1.5e-3, 1.5e-3), "tiny-meissonic/vqvae"),
    "llamagen-vq": Part(
        lambda _: TinyLlamaGenVQ(), Schedule(5000, 8, 1.5e-3, 1.5e-3), "tiny-llamagen/vq"
    ),
    "judge": Part(TinyJudge, Schedule(2000, 128, 1e-3, 1e-3), "clip"),
    "llamagen": Part(TinyLlamaGen, Schedule(2400, 64, 2e-3, 2e-3), "tiny-llamagen"),
    "meissonic": Part(TinyMeissonic, Schedule(3600, 64, 2e-3, 2e-3), "tiny-meissonic"),
    "maskgit": Part(lambda _: TinyMaskGIT(), Schedule(3000, 64, 2e-3, 2e-3), "tiny-maskgit"),
    "llamagen-c2i": Part(
        lambda _: TinyClassLlamaGen(), Schedule(1500, 64, 2e-3, 2e-3), "tiny-llamagen-c2i"
    ),
}
OUTSIDE = ("emb", "output", "conv2", "bias", "uncond", "shared", "norm", "patches")


def is_inner_matrix(name: str, weight: Tensor) -> bool:
    """Tell whether Muon updates a weight: the matrices between embeddings and heads."""
    return weight.ndim == 2 and not any(word in name for word in OUTSIDE)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Parts to train; all if none.")] = None,
    folder: Annotated[Path, typer.Option(help="Where states are kept.")] = Path("training"),
    weights: Annotated[Path, typer.Option(help="Where checkpoints go.")] = WEIGHTS,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
) -> None:
    """Train the embedded models and write their checkpoints."""
    torch.set_num_threads(threads)
    for name in only or PARTS:
        part = PARTS[name]
        place = weights / part.place
        model = part.build(folder / f"{name}-tokenizer")
        train(name, model, part.schedule, folder, is_inner_matrix)
        model.export(place)
        print(f"{name}: written to {place}", flush=True)


if __name__ == "__main__":
    typer.run(main)
