from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bakeoff.samplers.tiny.train import loop
from bakeoff.samplers.tiny.train.loop import Schedule, Trainable, train


class Regression(Trainable):
    """Learns y = 3x - 1 through a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1))
        self.losses: list[float] = []

    def loss(self, rng: np.random.Generator, size: int) -> Tensor:
        x = torch.from_numpy(rng.random((size, 1), dtype=np.float32))
        loss = (self.layers(x) - (3 * x - 1)).square().mean()
        self.losses.append(loss.item())
        return loss

    def export(self, folder: Path) -> None:
        raise NotImplementedError


def is_inner(name: str, weight: Tensor) -> bool:
    return name == "layers.2.weight"


SCHEDULE = Schedule(steps=40, batch_size=16, matrix_lr=0.02, other_lr=0.02, warmup=4)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    model = Regression()
    train("regression", model, SCHEDULE, tmp_path, is_inner)
    assert np.mean(model.losses[-5:]) < 0.1 * np.mean(model.losses[:5])


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Regression()
    train("regression", undisturbed, SCHEDULE, tmp_path / "a", is_inner)

    stopped = Regression()
    plain_loss = stopped.loss

    def loss_until_killed(rng: np.random.Generator, size: int) -> Tensor:
        if len(stopped.losses) == 25:
            raise KeyboardInterrupt
        return plain_loss(rng, size)

    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(stopped, "loss", loss_until_killed)
    with pytest.raises(KeyboardInterrupt):
        train("regression", stopped, SCHEDULE, tmp_path / "b", is_inner)
    resumed = Regression()
    train("regression", resumed, SCHEDULE, tmp_path / "b", is_inner)

    assert len(resumed.losses) == 15
    for key, value in undisturbed.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
