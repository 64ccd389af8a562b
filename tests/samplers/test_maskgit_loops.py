"""MaskGIT's published loops, step by step: the official draws and noise go through our loop."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bakeoff.samplers.class_guided import ClassGuidedNetwork
from bakeoff.samplers.masked import sample_masked
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.streams import Streams
from bakeoff.samplers.trace import StepRecord
from tests.samplers.networks.test_maskgit import official

SCHEDULES = {"arccos": "arccos", "cosine": "cosine"}
ARGMAX = "argmax_from=0"
PROBABILITY_ATOL = 1e-5

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def without_gradients() -> Any:
    with torch.inference_mode():
        yield


class Replay(Streams):
    """Random numbers that come to the golden run's Gumbel noise [N, B, K] and drawn tokens."""

    def __init__(self, gumbel: Tensor, probs: Tensor | None = None, codes: Tensor | None = None):
        super().__init__(range(gumbel.shape[1]))
        self.gumbel, self.probs, self.codes = gumbel, probs, codes

    def uniform(self, purpose: str, step: int, shape: Any) -> Tensor:
        if purpose == "confidence":
            return (-(-self.gumbel[step]).exp()).exp().float()
        if self.codes is None:
            return super().uniform(purpose, step, shape)
        probs, codes = self.probs[step].double(), self.codes[step].unsqueeze(-1)
        middle = probs.cumsum(dim=-1) - probs / 2  # of the interval that draws a code
        return middle.gather(-1, codes).squeeze(-1).float()


class Run:
    """A golden run through our loop: what it saw of logits and tokens."""

    def __init__(self, golden_file: Any, text: str, streams: Streams) -> None:
        self.network, labels = official(golden_file), golden_file.tensors["labels"].tolist()
        self.recipe = Recipe.from_text(text)
        self.predict = ClassGuidedNetwork(self.network, labels, self.network.config.dropped)
        self.logits: list[Tensor] = []
        self.wanted: list[Tensor] = []
        self.records: list[StepRecord] = []
        grid, unknown = self.network.config.grid, self.network.unknown
        start = torch.full((len(labels), grid, grid), unknown)
        mask_code = self.predict.mask_code
        self.sample = sample_masked(
            self, start, unknown, self.recipe, streams, self.records.append, mask_code
        )

    def __call__(
        self, tokens: Tensor, timestep: int, scale: float, where: Tensor | None = None
    ) -> Tensor:
        logits = self.predict(tokens, timestep, scale, where)
        everywhere = torch.ones_like(tokens.flatten(1), dtype=torch.bool)
        self.wanted.append(everywhere if where is None else where)
        self.logits.append(logits if where is not None else logits.flatten(0, 1))
        return logits

    def probs(self, step: int) -> Tensor:
        return (self.logits[step] / self.recipe.temperature_at(step, self.recipe.steps)).softmax(-1)

    @property
    def unknown(self) -> Tensor:
        """What is masked after each step, [N, B, g, g]."""
        return torch.stack([record.tokens == self.network.unknown for record in self.records])

    @property
    def final(self) -> Tensor:
        return self.sample.tokens.clamp(max=self.network.config.codebook_size - 1)


def check_tokens(run: Run, drawn: Tensor) -> None:
    """Check that every token is, from its step on, what was officially drawn there [N, B, g, g]."""
    expected, before = torch.zeros_like(drawn[0]), torch.ones_like(drawn[0], dtype=torch.bool)
    for record, unknown, codes in zip(run.records, run.unknown, drawn, strict=True):
        expected = torch.where(before & ~unknown, codes, expected)
        assert record.tokens[~unknown].equal(expected[~unknown])
        before = unknown


def version_1(settings: dict[str, Any], draws: str = ARGMAX) -> str:
    guided = f"guidance_scale={1 + settings['w']} guidance_schedule=linear" if settings["w"] else ""
    assert settings["randomize"] == "linear"
    return (
        f"steps={settings['step']} {guided} temperature={1 / settings['sm_temp']} {draws} "
        f"schedule={SCHEDULES[settings['sched_mode']]}(counts=increments) "
        f"masking_temperature={settings['r_temp']}..0"
    )


@pytest.mark.golden_files("maskgit/v1")
def test_version_1_goes_the_official_way_at_every_step(golden_file: Any) -> None:
    assert len(golden_file.description["greedy"]) >= 4
    for name, settings in golden_file.description["greedy"].items():
        tensors = golden_file.part(f"greedy.{name}")
        run = Run(golden_file, version_1(settings), Replay(tensors["gumbel"]))
        assert run.unknown.equal(tensors["still_masked"].bool()), name
        check_tokens(run, tensors["pred_codes"])
        assert run.final.equal(tensors["final_codes"])
        first = tensors["probs_first"].flatten(0, 1)
        torch.testing.assert_close(run.probs(0), first, atol=PROBABILITY_ATOL, rtol=0)


@pytest.mark.golden_files("maskgit/v1")
def test_version_1_draws_the_official_tokens_from_their_probabilities(golden_file: Any) -> None:
    settings, tensors = golden_file.description["traced"], golden_file.part("traced")
    streams = Replay(tensors["gumbel"], tensors["probs"], tensors["pred_codes"])
    run = Run(golden_file, version_1(settings, draws=""), streams)
    grid = run.final.shape[1:]
    assert run.unknown.equal(tensors["still_masked"].bool())
    check_tokens(run, tensors["pred_codes"].unflatten(2, grid))
    assert run.final.equal(tensors["final_codes"])
    for step, probs in enumerate(tensors["probs"]):
        expected = probs[run.wanted[step]]
        torch.testing.assert_close(run.probs(step), expected, atol=PROBABILITY_ATOL, rtol=0)


@pytest.mark.golden_files("maskgit/halton")
def test_halton_goes_the_official_way_at_every_step(golden_file: Any) -> None:
    for name, settings in golden_file.description["halton"].items():
        tensors, first, last = golden_file.part(f"halton.{name}"), *ends(settings)
        warmup = settings.get("temp_warmup", 0)
        tempered = f"temperature_schedule=linear({last},warmup={warmup})" if first != last else ""
        run = Run(
            golden_file,
            f"steps={settings['step']} guidance_scale={1 + settings['w']} temperature={first} "
            f"{tempered} schedule=arccos(counts=revealed) order=halton {ARGMAX}",
            Streams(range(len(golden_file.tensors["labels"]))),
        )
        drawn = tensors["pred_codes"]
        before = torch.cat([torch.ones_like(run.unknown[:1]), run.unknown[:-1]])
        assert (before & ~run.unknown).equal(tensors["revealed_now"].bool()), name
        check_tokens(run, drawn)
        assert run.final.equal(tensors["final_codes"])


def ends(settings: dict[str, Any]) -> tuple[float, float]:
    return 1 / settings["sm_temp_min"], 1 / settings["sm_temp_max"]


@pytest.mark.golden_files("maskgit/halton")
def test_confidence_sampler_of_version_2_goes_its_own_way(golden_file: Any) -> None:
    for name, settings in golden_file.description["confidence"].items():
        tensors = golden_file.part(f"confidence.{name}")
        run = Run(
            golden_file,
            f"steps={settings['step']} guidance_scale={1 + settings['w']} {ARGMAX} "
            f"guidance_schedule=linear temperature={1 / settings['sm_temp']} "
            f"masking_temperature={settings['r_temp']}..0 drawn_mask=remask "
            f"schedule={SCHEDULES[settings['sched_mode']]}(counts=inclusive) "
            "order=confidence(known=redraw)",
            Replay(tensors["gumbel"]),
        )
        assert run.unknown.equal(tensors["still_masked"].bool()), name
        for record, unknown, codes in zip(
            run.records, run.unknown, tensors["pred_codes"], strict=True
        ):
            assert record.tokens[~unknown].equal(codes[~unknown])  # all known ones are drawn anew
        assert run.final.equal(tensors["final_codes"])


@pytest.mark.golden_files("maskgit/jax")
def test_original_goes_the_official_way_at_every_iteration(golden_file: Any) -> None:
    tensors, steps = golden_file.part("greedy"), golden_file.description["iterations"]
    run = Run(
        golden_file,
        f"steps={steps} schedule=cosine masking_temperature=0..0 {ARGMAX}",
        Streams(range(len(golden_file.tensors["labels"]))),
    )
    before = tensors["input_ids_per_iter"][1:, :, 1:].long()  # without the label
    for record, ids in zip(run.records, before, strict=False):
        found = torch.where(record.tokens == run.network.unknown, -1, record.tokens)
        assert found.flatten(1).equal(ids)
    finished = tensors["final_seqs"][:, -1, 1:].long()
    assert run.final.flatten(1).equal(finished)
