import numpy as np
import pytest

from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.detector import detect


def test_detections_are_exact_on_rendered_scenes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        caption, scene = grammar.sample(rng)
        found = detect(world.render(scene))
        assert sorted((d.shape, d.color) for d in found) == sorted(
            (item.shape, item.color) for item in scene
        ), caption.text()
        assert grammar.holds(caption.expectation(), found)


@pytest.mark.parametrize("spread", [4.0, 12.0])
def test_detections_survive_the_errors_of_a_tokenizer(spread: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        _, scene = grammar.sample(rng)
        noisy = world.render(scene) + rng.normal(0, spread, (64, 64, 3))
        found = detect(np.clip(noisy, 0, 255).astype(np.uint8))
        assert sorted((d.shape, d.color) for d in found) == sorted(
            (item.shape, item.color) for item in scene
        )


def test_scattered_cells_are_no_shapes() -> None:
    """Patches of every shape thrown together at random: what a bad generator paints."""
    rng = np.random.default_rng(3)
    grid = rng.integers(0, world.vocabulary_size(), (50, 8, 8))
    assert sum(len(detect(image)) for image in world.render_tokens(grid)) < 10


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[64, 64, 3\]"):
        detect(np.zeros((32, 32, 3), dtype=np.uint8))
