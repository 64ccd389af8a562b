import numpy as np
import pytest

from bakeoff.samplers.tiny import grammar, world


def test_a_picture_is_its_tokens_looked_up_in_the_dictionary() -> None:
    """The dictionary is lossless: no cell of any scene shows a patch that is not in it."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        _, scene = grammar.sample(rng)
        painted = np.broadcast_to(np.array(world.BACKGROUND, dtype=float), (64, 64, 3)).copy()
        for item in scene:
            x0, y0, x1, y1 = (int(edge) for edge in item.box)
            alpha = world.sprite(item.shape, item.cells)[:, :, None] / 255.0
            color = np.array(world.COLORS[item.color], dtype=float)
            painted[y0:y1, x0:x1] = alpha * color + (1 - alpha) * painted[y0:y1, x0:x1]
        assert np.array_equal(world.render(scene), np.round(painted).astype(np.uint8))


def test_patches_are_distinct() -> None:
    flat = world.patches().reshape(world.vocabulary_size(), -1)
    assert len(np.unique(flat, axis=0)) == world.vocabulary_size()


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("cells", [world.LARGE, world.SMALL])
def test_sprites_are_mirror_images_and_keep_off_the_edge(shape: str, cells: int) -> None:
    sprite = world.sprite(shape, cells)
    assert np.array_equal(sprite, sprite[:, ::-1])
    assert not sprite[:2].any() and not sprite[:, :2].any()
    assert not sprite[-2:].any() and not sprite[:, -2:].any()
