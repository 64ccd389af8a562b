import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bakeoff.samplers.choices import Noise, Schedule
from bakeoff.samplers.schedules import (
    DEVIATIONS,
    mask_ratio,
    masked_after,
    masking_temperatures,
    noise_deviation,
    ratios_after,
    raw_counts,
)

OFFICIAL = re.compile(r"mask_len\.(?P<name>\w+)\.N(?P<steps>\d+)\.K(?P<tokens>\d+)")
DERIVED = re.compile(
    r"(?P<kind>sigma|raw_mask_len)\.(?P<name>\w+)(\.p(?P<p>[\d.]+))?"
    r"(\.b(?P<begin>[\d.]+)\.e(?P<end>[\d.]+))?\.N(?P<steps>\d+)(\.K(?P<tokens>\d+))?"
)
KARRAS = {"karrasA": "karras_a", "karrasB": "karras_b"}
NEAR = "near_integer_entries_where_plus_minus_1_is_acceptable"


def run_down(name: str, steps: int, tokens: int, unknown: int) -> list[int]:
    """Return the masked counts of a run that begins with some tokens unknown."""
    raw = raw_counts(Schedule(name=name), steps, tokens)
    counts, left = [], torch.tensor([unknown])
    for step in range(steps):
        left = masked_after(int(raw[step]), left, last=step == steps - 1)
        counts.append(int(left))
    return counts


@pytest.mark.golden_files("meissonic/schedule_official")
def test_mask_counts_and_temperatures_are_the_official_ones(golden_file: Any) -> None:
    tested = 0
    for key, expected in golden_file.tensors.items():
        if match := OFFICIAL.fullmatch(key):
            steps, tokens = int(match["steps"]), int(match["tokens"])
            counts = run_down(match["name"], steps, tokens, tokens)
        elif match := OFFICIAL.fullmatch(key.removeprefix("partial.")):
            unknown = int(golden_file.tensors["partial.start_mask"].sum())
            counts = run_down(match["name"], int(match["steps"]), int(match["tokens"]), unknown)
        elif key.startswith("temps."):
            kind, *ends = key.split(".N")[0].removeprefix("temps.").split("_")
            start, end = (float(e) for e in (ends if kind == "tuple" else [*ends, "0.01"]))
            temperatures = masking_temperatures(start, end, len(expected))
            torch.testing.assert_close(temperatures, expected, atol=1e-6, rtol=0)
            continue
        else:
            continue
        assert counts == expected.tolist(), key
        tested += 1
    assert tested


@pytest.mark.golden_files("meissonic/schedule_derived")
def test_papers_schedules_follow_their_formulas(golden_file: Any) -> None:
    near = golden_file.description[NEAR]
    tested = 0
    for key, expected in golden_file.tensors.items():
        match = DERIVED.fullmatch(key)
        assert match, key
        named = {n: float(match[n]) for n in ("p", "begin", "end") if match[n]}
        schedule = Schedule(name=KARRAS.get(match["name"], match["name"]), **named)
        steps = int(match["steps"])
        if match["kind"] == "sigma":
            t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
            torch.testing.assert_close(mask_ratio(schedule, t), expected, atol=1e-12, rtol=0)
        else:
            off = (raw_counts(schedule, steps, int(match["tokens"])) - expected).abs()
            allowed = near.get(key.removeprefix("raw_mask_len."), [])
            assert set(off.nonzero().flatten().tolist()) <= set(allowed) and off.max() <= 1, key
        tested += 1
    assert tested


def test_counts_are_taken_in_float32() -> None:
    # 4096 cos(pi/3) is 2048; float32 falls just below, and officially so
    assert raw_counts(Schedule(name="cosine"), 3, 4096).tolist() == [3547, 2047, 0]


def said_of_curves() -> list[list[float]]:
    power, cosine = Schedule(name="pow_one_minus_t", p=0.6), Schedule(name="cosine")
    return [
        values.tolist()
        for steps in range(1, 130)
        for values in (
            raw_counts(power, steps, 4096),
            raw_counts(cosine, steps, 4096),
            masking_temperatures(2.0, 0.01, steps),
        )
    ]


def test_curves_are_the_same_whatever_the_processor_can() -> None:
    code = (
        "import json, runpy, torch\n"
        "assert torch.backends.cpu.get_cpu_capability() == 'DEFAULT'\n"
        f"print(json.dumps(runpy.run_path({__file__!r})['said_of_curves']()))"
    )
    plain = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    run = [sys.executable, "-c", code]
    made = subprocess.run(run, env=plain, capture_output=True, text=True, check=True)
    assert json.loads(made.stdout) == said_of_curves()


@pytest.mark.parametrize("steps", [1, 2, 7, 64])
def test_masking_temperature_goes_straight_from_start_to_end(steps: int) -> None:
    ways = np.arange(steps) / max(steps - 1, 1)
    expected = np.interp(ways, [0, 1], [4.5, 0.01]).astype(np.float32)
    temperatures = masking_temperatures(4.5, 0.01, steps)
    assert temperatures.numpy() == pytest.approx(expected, abs=1e-6)
    assert temperatures[0] == 4.5 and (steps == 1 or temperatures[-1] == np.float32(0.01))


def test_images_with_fewer_unknown_tokens_keep_their_own_count() -> None:
    unknown = torch.tensor([40, 10, 2, 1])
    assert masked_after(20, unknown, last=False).tolist() == [20, 9, 1, 1]
    assert masked_after(0, unknown, last=False).tolist() == [1, 1, 1, 1]
    assert masked_after(20, unknown, last=True).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ("abs_cos", [2.0, 1.0, 0.0, 1.0, 2.0]),
        ("half_abs_cos", [1.0, 0.5, 0.0, 0.5, 1.0]),
        ("half_then_full", [1.0, 0.5, 0.0, 1.0, 2.0]),
        ("full_then_half", [2.0, 1.0, 0.0, 0.5, 1.0]),
        ("const", [2.0] * 5),
        ("linear_down", [2.0, 4 / 3, 1.0, 2 / 3, 0.0]),
        ("linear_up", [0.0, 2 / 3, 1.0, 4 / 3, 2.0]),
        ("sin", [0.0, 3**0.5, 2.0, 3**0.5, 0.0]),
    ],
)
def test_noise_follows_its_curve_from_first_to_last_step(curve: str, expected: list[float]) -> None:
    noise = Noise(curve=curve, amplitude=2)
    # cos(pi/3) = 1/2: steps 0, 1/3, 1/2, 2/3 and 1 of the way
    seen = [noise_deviation(noise, step, 7) for step in (0, 2, 3, 4, 6)]
    assert seen == pytest.approx(expected, abs=1e-12)


def test_single_step_takes_the_noise_of_the_first() -> None:
    assert noise_deviation(Noise(curve="abs_cos", amplitude=1.5), 0, 1) == 1.5


def test_every_curve_and_schedule_of_a_recipe_is_built() -> None:
    assert set(Noise.model_fields["curve"].annotation.__args__) == set(DEVIATIONS)
    for name in Schedule.model_fields["name"].annotation.__args__:
        if "karras" in name:
            schedule = Schedule(name=name, p=0.6, begin=0.9, end=0.1)
        elif name in ("log", "exp"):
            schedule = Schedule(name=name, p=20.0)
        else:
            schedule = Schedule(name=name, p=0.6 if "pow" in name else None)
        ratio = mask_ratio(schedule, torch.linspace(0, 1, 9, dtype=torch.float64))
        assert ratio[0] == pytest.approx(schedule.begin)
        assert ratio[-1] == pytest.approx(schedule.end)
        assert (ratio.diff() < 0).all()


@pytest.mark.parametrize("p", [0.5, 0.6, 2.0])
def test_karras_forms_approach_the_plain_powers(p: float) -> None:
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    for karras, power in (("karras_a", "pow_one_minus_t"), ("karras_b", "one_minus_t_pow")):
        near = Schedule(name=karras, p=p, begin=1 - 1e-12, end=1e-12)
        exact = mask_ratio(Schedule(name=power, p=p), t)
        torch.testing.assert_close(mask_ratio(near, t), exact, atol=1e-4, rtol=0)


# the reproduction's names: a curve for what is revealed, which is one minus the mask ratio
MODES = {
    "root": Schedule(name="one_minus_t_pow", p=0.5),
    "linear": Schedule(name="linear"),
    "square": Schedule(name="one_minus_t_pow", p=2.0),
    "cosine": Schedule(name="cosine"),
    "arccos": Schedule(name="arccos"),
}


def masked_counts(mode: str, counts: str, steps: str, tokens: int) -> Tensor:
    schedule = MODES[mode].model_copy(update={"counts": counts})
    return raw_counts(schedule, int(steps), tokens)


def test_golden_increments_are_those_of_maskgit_in_pytorch(golden: Path) -> None:
    described = json.loads((golden / "maskgit/v1_schedules.json").read_text())["schedules"]
    for name, revealed in described.items():
        side, steps, mode = name.split("/")
        tokens = int(side.split("x")[0]) ** 2
        left = masked_counts(mode, "increments", steps, tokens)
        assert left.diff(prepend=torch.tensor([tokens])).neg().tolist() == revealed, name


def test_golden_counts_are_those_of_halton_maskgit(golden: Path) -> None:
    described = json.loads((golden / "maskgit/halton_schedules.json").read_text())
    for name, revealed in described["halton"].items():
        side, steps = name.split("/")
        tokens = int(side) ** 2
        known = tokens - masked_counts("arccos", "revealed", steps, tokens)
        floor = torch.arange(1, int(steps) + 1)  # officially one more in every step, at least
        assert torch.maximum(known, floor).tolist() == revealed, name
        if int(steps) < tokens:  # and so it is in our loop
            unknown, loop = torch.tensor([tokens]), []
            for step, raw in enumerate((tokens - known).tolist()):
                unknown = masked_after(raw, unknown, last=step == int(steps) - 1)
                loop.append(tokens - int(unknown))
            assert loop == revealed, name
    for name, revealed in described["confidence"].items():
        side, steps, mode = name.split("/")
        tokens = int(side) ** 2
        assert (tokens - masked_counts(mode, "inclusive", steps, tokens)).tolist() == revealed, name


@pytest.mark.golden_files("maskgit/jax")
def test_cosine_counts_are_those_of_the_original_maskgit(golden_file: Any) -> None:
    for name, masked in golden_file.description["cosine_mask_len"]["values"].items():
        tokens, steps = map(int, name.split("/"))
        raw = raw_counts(Schedule(name="cosine"), steps, tokens)
        assert raw.clamp(min=1).tolist() == masked, name
    described = golden_file.description["schedule_ratio_values"]
    total = math.log2(described["total_unknown"])
    ours = {
        "uniform": Schedule(name="linear"),
        "cosine": Schedule(name="cosine"),
        "log": Schedule(name="log", p=total),
        "exp": Schedule(name="exp", p=total),
        **{f"pow{p:g}": Schedule(name="one_minus_t_pow", p=float(p)) for p in (0.5, 2, 3)},
    }
    assert ours.keys() == described["values"].keys()
    for name, schedule in ours.items():
        found = mask_ratio(schedule, torch.tensor(described["at"], dtype=torch.float64))
        expected = torch.tensor(described["values"][name], dtype=torch.float64)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("counts", ["masked", "revealed", "inclusive", "increments"])
@pytest.mark.parametrize("name", ["cosine", "linear", "arccos"])
def test_ratios_after_steps_are_the_counts_but_for_rounding(name: str, counts: str) -> None:
    schedule = Schedule(name=name, counts=counts)  # type: ignore[arg-type]
    for steps in (1, 2, 7, 30):
        counted = raw_counts(schedule, steps, 10_000) / 10_000
        ratios = ratios_after(schedule, steps)
        last = 1 if steps == 1 and counts == "inclusive" else 0
        assert ratios[-1] == pytest.approx(last, abs=1e-6)
        torch.testing.assert_close(counted.double(), ratios, atol=steps * 1e-4, rtol=0)
