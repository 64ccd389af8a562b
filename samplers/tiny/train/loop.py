"""The training loop: seeded by step, resumable, with a moving average of the weights."""

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

SAVE_EVERY_SECONDS = 120.0
FINAL_LR_SHARE = 0.03
AVERAGE_DECAY = 0.999


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; learning rates are peaks of a cosine after a warm-up."""

    steps: int
    batch_size: int
    matrix_lr: float  # Muon, on the inner weight matrices
    other_lr: float  # AdamW, on embeddings, heads, norms and biases
    warmup: int = 200
    seed: int = 0


class Trainable(nn.Module, ABC):
    """A network with its data, its loss and its checkpoint format."""

    @abstractmethod
    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        """Return the loss of a fresh batch."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the checkpoint."""


def train(
    name: str,
    model: Trainable,
    schedule: Schedule,
    folder: Path,
    inner: Callable[[str, Tensor], bool],
) -> None:
    """Train `model` and leave it with its averaged weights.

    The random numbers of a step depend on the seed and the step alone, so a run that was stopped
    goes on from its last checkpoint in `folder` as if it had not been. `inner` picks the matrices
    that Muon updates; AdamW updates the rest.
    """
    optimizers = _optimizers(model, schedule, inner)
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    path = folder / f"{name}.pt"
    first = _resume(path, model, average, optimizers)
    saved = time.monotonic()
    for step in range(first, schedule.steps):
        torch.manual_seed(schedule.seed * 1_000_003 + step)
        share = _learning_rate_share(step, schedule)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * share
            optimizer.zero_grad(set_to_none=True)
        value = model.loss(np.random.default_rng([schedule.seed, step]), schedule.batch_size)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        _update_average(average, model, step)
        if step % 50 == 0 or step == schedule.steps - 1:
            print(f"{time.strftime('%X')} {name} step {step} loss {value.item():.4f}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY_SECONDS or step == schedule.steps - 1:
            _save(path, model, average, optimizers, step + 1)
            saved = time.monotonic()
    model.load_state_dict(average)
    model.eval()


@contextmanager
def half_precision() -> Iterator[None]:
    """Run the forward pass in bfloat16 where the processor computes in it, else in float32."""
    enabled = bool(torch.cpu._is_avx512_bf16_supported())
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
        yield


def _optimizers(
    model: nn.Module, schedule: Schedule, inner: Callable[[str, Tensor], bool]
) -> list[torch.optim.Optimizer]:
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in named if inner(n, p)]
    others = [p for n, p in named if not inner(n, p)]
    adam = torch.optim.AdamW(
        others, lr=schedule.other_lr, betas=(0.9, 0.96), weight_decay=0.0, fused=True
    )
    result: list[torch.optim.Optimizer] = [adam]
    if matrices:
        result.append(
            torch.optim.Muon(
                matrices,
                lr=schedule.matrix_lr,
                weight_decay=0.01,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    for optimizer in result:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return result


def _learning_rate_share(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    progress = (step - schedule.warmup) / max(schedule.steps - schedule.warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * cosine


def _update_average(average: dict[str, Tensor], model: nn.Module, step: int) -> None:
    decay = min(AVERAGE_DECAY, 1 - 1 / (1 + step / 8))
    state = model.state_dict()
    floating = [key for key in average if average[key].is_floating_point()]
    torch._foreach_lerp_([average[k] for k in floating], [state[k] for k in floating], 1 - decay)


def _save(
    path: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimizers: list[torch.optim.Optimizer],
    step: int,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {
        "model": model.state_dict(),
        "average": average,
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
    }
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(
    path: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for key, value in state["average"].items():
        average[key].copy_(value)
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        peaks = [group["peak_lr"] for group in optimizer.param_groups]
        optimizer.load_state_dict(saved)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["peak_lr"] = peak
    return int(state["step"])
