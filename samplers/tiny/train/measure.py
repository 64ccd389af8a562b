"""The figures of the model card: `python -m bakeoff.samplers.tiny.train.measure`.

Accuracy by the exact detector, per task, of pictures whose prompts were shuffled (chance), of the
tokenizers' reconstructions (ceiling) and of the generators. The prompt is the unit of intervals.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy import stats

from bakeoff.samplers.catalog import load_sampler
from bakeoff.samplers.llamagen import load_tokenizer
from bakeoff.samplers.networks import llamagen_vq, vq
from bakeoff.samplers.networks.checkpoint import load_config, load_state, load_weights
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Sampler
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.detector import detect
from bakeoff.samplers.tiny.train.__main__ import WEIGHTS

Images = NDArray[np.uint8]
SCENES = 600
BATCH = 40


def measure(
    models: Annotated[list[str] | None, typer.Option(help="`model recipe` to measure.")] = None,
    split: Annotated[
        Literal["train", "held_out", "classes"], typer.Option(help="Which prompts.")
    ] = "held_out",
    seeds: Annotated[int, typer.Option(help="Seeds a prompt.")] = 5,
) -> None:
    """Print a Markdown table of accuracies with 95 % intervals."""
    torch.set_num_threads(1)
    prompts = grammar.class_prompts() if split == "classes" else grammar.shapes_prompts(split)
    tasks = tuple(dict.fromkeys(prompt.task for prompt in prompts)) if models else grammar.TASKS
    print("| | " + " | ".join(tasks) + " | overall |")
    print("|---" * (len(tasks) + 2) + "|")
    if not models:
        _print_bounds()
    for line in models or []:
        name, _, text = line.partition(" ")
        sampler, recipe = load_sampler(name), Recipe.from_text(text)
        _print_row(line, tasks, *_prompt_accuracies(sampler, recipe, prompts, seeds))


def _prompt_accuracies(
    sampler: Sampler,
    recipe: Recipe,
    prompts: Sequence[grammar.ShapesPrompt],
    seeds: int,
) -> tuple[list[str], NDArray[np.float64]]:
    """Return each prompt's task and its share of true pictures over the seeds."""
    shares = np.zeros(len(prompts))
    for seed in range(seeds):
        for start in range(0, len(prompts), BATCH):
            part = prompts[start : start + BATCH]
            texts = [prompt.prompt for prompt in part]
            images = sampler.generate(texts, [seed] * len(texts), recipe).images
            for at, (prompt, image) in enumerate(zip(part, images, strict=True), start):
                shares[at] += grammar.holds(prompt.expectation, detect(image)) / seeds
    return [prompt.task for prompt in prompts], shares


def _print_bounds() -> None:
    rng = np.random.default_rng(11)
    pairs = [grammar.sample(rng) for _ in range(SCENES)]
    images = np.stack([world.render(scene) for _, scene in pairs])
    tasks = [caption.task for caption, _ in pairs]
    shuffled = rng.permutation(len(pairs))
    for name, shown in [
        ("real pictures", images),
        ("chance: real pictures, shuffled prompts", images[shuffled]),
        ("ceiling: tokenizer of tiny-meissonic", _reconstruct_vq(images)),
        ("ceiling: tokenizer of tiny-llamagen", _reconstruct_llamagen(images)),
    ]:
        true = [
            grammar.holds(caption.expectation(), detect(image))
            for (caption, _), image in zip(pairs, shown, strict=True)
        ]
        _print_row(name, grammar.TASKS, tasks, np.array(true, dtype=np.float64))


def _print_row(
    name: str, columns: Sequence[str], tasks: list[str], shares: NDArray[np.float64]
) -> None:
    groups = [shares[np.array(tasks) == task] for task in columns]
    print(f"| {name} | " + " | ".join(map(_with_interval, [*groups, shares])) + " |", flush=True)


def _with_interval(shares: NDArray[np.float64]) -> str:
    """Return the mean of prompts' shares in per cent with its 95 % interval.

    Wilson's where prompts only pass or fail, or all agree; else Student's t, cut to [0, 100].
    """
    mean, count = shares.mean(), len(shares)
    if np.isin(shares, (0, 1)).all() or np.ptp(shares) == 0:
        passed = stats.binomtest(round(mean * count), count)
        low, high = passed.proportion_ci(method="wilson")
    else:
        half = stats.sem(shares) * stats.t.ppf(0.975, count - 1)
        low, high = max(mean - half, 0.0), min(mean + half, 1.0)
    return f"{100 * mean:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


@torch.inference_mode()
def _reconstruct_vq(images: Images) -> Images:
    folder = WEIGHTS / "tiny-meissonic" / "vqvae"
    network = vq.VQModel(vq.VQConfig.from_dict(load_config(folder))).eval()
    load_state(network, load_weights(folder), source=folder)
    return _reconstruct(
        images, lambda x: vq.to_uint8(network.decode(network.encode(x / 255))), folder
    )


@torch.inference_mode()
def _reconstruct_llamagen(images: Images) -> Images:
    folder = WEIGHTS / "tiny-llamagen" / "vq"
    network = load_tokenizer(folder)
    return _reconstruct(
        images,
        lambda x: llamagen_vq.to_uint8(network.decode(network.encode(x / 127.5 - 1))),
        folder,
    )


def _reconstruct(
    images: Images, through: Callable[[torch.Tensor], torch.Tensor], folder: Path
) -> Images:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    shown = np.concatenate([through(part).numpy() for part in pixels.split(BATCH)])
    error = ((shown.astype(np.float64) - images) ** 2).mean(axis=(1, 2, 3))
    psnr = 10 * np.log10(255**2 / np.maximum(error, 1e-9)).mean()
    print(f"<!-- {folder.parent.name}: PSNR {psnr:.1f} dB -->")
    return shown


if __name__ == "__main__":
    typer.run(measure)
