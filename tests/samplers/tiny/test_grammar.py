from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.tiny import grammar
from bakeoff.samplers.tiny.grammar import Caption, Thing, holds
from bakeoff.samplers.tiny.world import LARGE, SMALL, Object

TRAINED = [grammar.sample(np.random.default_rng([7, i])) for i in range(4000)]


def scene(*items: tuple[str, str, int, int]) -> list[Object]:
    return [Object(shape, color, SMALL, column, row) for shape, color, column, row in items]


def test_every_training_caption_is_true_of_its_scene() -> None:
    assert all(holds(caption.expectation(), objects) for caption, objects in TRAINED)


def test_objects_stay_on_the_grid_and_apart() -> None:
    for _, objects in TRAINED:
        for item in objects:
            assert item.cells in (LARGE, SMALL)
            assert min(item.box) >= 0 and max(item.box) <= 64
        for a, b in combinations(objects, 2):
            apart_x = a.box[2] <= b.box[0] or b.box[2] <= a.box[0]
            apart_y = a.box[3] <= b.box[1] or b.box[3] <= a.box[1]
            assert apart_x or apart_y


def test_no_held_out_prompt_is_ever_drawn_in_training() -> None:
    held_out = {prompt.prompt for prompt in grammar.shapes_prompts("held_out")}
    assert not held_out & {caption.text() for caption, _ in TRAINED}


def shortened() -> list[str]:
    rng = np.random.default_rng(8)
    drawn = [grammar.sample(rng, any_words=True) for _ in range(4000)]
    return [caption.shortened(0.3, rng) for caption, _ in drawn]


def test_shortened_captions_show_held_out_things_without_naming_them() -> None:
    texts = shortened()
    assert not {prompt.prompt for prompt in grammar.shapes_prompts("held_out")} & set(texts)
    assert not [pair for pair in grammar.HELD_OUT_PAIRS if " ".join(pair) in " ".join(texts)]
    assert not [text for text in texts if "two rings" in text or "four triangles" in text]
    assert {"of a red", "of two", "of rings"} <= {text[text.find("of") :] for text in texts}


def test_held_out_words_never_stand_side_by_side_in_training() -> None:
    texts = " ".join(caption.text() for caption, _ in TRAINED)
    assert not [pair for pair in grammar.HELD_OUT_PAIRS if " ".join(pair) in texts]


def test_a_held_out_combination_is_held_out_however_it_is_said() -> None:
    for prefix in grammar.PREFIXES:
        caption = Caption("colors", (Thing("triangle", "red"),), prefix=prefix)
        assert caption.held_out()
    forward = Caption("position", (Thing("circle"), Thing("heart")), "left of")
    backward = Caption("position", (Thing("heart"), Thing("circle")), "right of")
    assert forward.held_out() == backward.held_out()
    first = Caption("two_object", (Thing("circle"), Thing("heart")))
    second = Caption("two_object", (Thing("heart"), Thing("circle")))
    assert first.held_out() == second.held_out()


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_the_benchmark_has_every_task_alike_and_no_prompt_twice(split: grammar.Split) -> None:
    prompts = grammar.shapes_prompts(split)
    assert set(Counter(p.task for p in prompts).values()) == {grammar.PROMPTS_PER_TASK}
    assert [p.task for p in prompts[: len(grammar.TASKS)]] == list(grammar.TASKS)
    assert len({p.prompt for p in prompts}) == len({p.prompt_id for p in prompts}) == len(prompts)


def test_splits_share_no_prompt() -> None:
    held_out, train = (
        {p.prompt for p in grammar.shapes_prompts(split)} for split in ("held_out", "train")
    )
    assert not held_out & train


@pytest.mark.parametrize(
    ("text", "caption", "shown", "true"),
    [
        ("count too low", Caption("counting", (Thing("ring", None, 3),)), 2, False),
        ("count exact", Caption("counting", (Thing("ring", None, 3),)), 3, True),
        ("count too high", Caption("counting", (Thing("ring", None, 3),)), 4, False),
        ("one is enough", Caption("single_object", (Thing("ring"),)), 2, True),
        ("wrong colour", Caption("colors", (Thing("ring", "blue"),)), 1, False),
    ],
)
def test_counts_and_colors(text: str, caption: Caption, shown: int, true: bool) -> None:
    spots = [(0, 0), (4, 0), (0, 4), (4, 4)][:shown]
    objects = scene(*[("ring", "red", *spot) for spot in spots])
    assert holds(caption.expectation(), objects) is true, text


@pytest.mark.parametrize(
    ("relation", "true"),
    [("left of", True), ("right of", False), ("above", False), ("below", False)],
)
def test_position_is_of_the_first_thing_to_the_second(relation: str, true: bool) -> None:
    caption = Caption("position", (Thing("ring"), Thing("heart")), relation)
    objects = scene(("ring", "red", 0, 2), ("heart", "blue", 4, 3))
    assert holds(caption.expectation(), objects) is true


def test_attributes_must_be_on_the_right_things() -> None:
    caption = Caption("color_attr", (Thing("ring", "red"), Thing("heart", "blue")))
    assert holds(caption.expectation(), scene(("heart", "blue", 0, 0), ("ring", "red", 4, 4)))
    assert not holds(caption.expectation(), scene(("heart", "red", 0, 0), ("ring", "blue", 4, 4)))


@pytest.mark.parametrize(
    ("expectation", "told"),
    [
        ({"include": [{"class": "dog", "count": 1}]}, "class 'dog' .* it knows circle"),
        ({"include": [{"class": "ring", "count": 1, "color": "pink"}]}, "color 'pink' .* red"),
        (
            {"include": [{"class": "ring", "count": 1}], "exclude": [{"class": "cat", "count": 1}]},
            "class 'cat'",
        ),
        ({"tag": "foo"}, "must include an object"),
        ({"include": ["dog"]}, "must be a list of {class"),
        ({"include": 5}, "must be a list of {class"),
        ({"include": [{"class": "ring"}]}, "must be a list of {class"),
        ({"include": [{"class": "ring", "count": "2"}]}, "must be a list of {class"),
    ],
)
def test_what_the_detector_does_not_know_is_no_miss(expectation: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        holds(expectation, scene(("ring", "red", 0, 0)))


def test_a_class_is_seen_wherever_its_object_fits() -> None:
    scenes = grammar.class_scenes()
    assert len(set(scenes)) == len(scenes) == 36 * 16
    prompts = grammar.class_prompts()
    assert all(holds(prompts[label].expectation, objects) for label, objects in scenes)
