"""What the class benchmarks ask for, and what the pictures that they compare with show."""

from collections import Counter

from bakeoff.platform.studies.benchmarks import BENCHMARKS, first_of_each_task
from bakeoff.samplers.classes import Classes, imagenet_names
from bakeoff.samplers.tiny import grammar, world
from bakeoff.samplers.tiny.detector import detect


def test_shapes_classes_asks_once_for_every_color_of_every_shape() -> None:
    prompts = BENCHMARKS["shapes-classes"].prompts()
    asked = [f"a {color} {shape}" for color in world.COLORS for shape in world.SHAPES]
    assert [prompt.prompt for prompt in prompts] == asked
    assert Counter(prompt.task for prompt in prompts) == dict.fromkeys(world.SHAPES, 6)
    assert len({prompt.prompt_id for prompt in prompts}) == len(prompts)


def test_shapes_classes_compares_with_every_class_alike() -> None:
    """Each picture holds one thing, which is what one of the prompts asks for."""
    benchmark = BENCHMARKS["shapes-classes"]
    assert benchmark.pictures is not None
    pictures = benchmark.pictures()
    found = [detect(picture) for picture in pictures]
    assert all(len(things) == 1 for things in found)
    true = [
        [grammar.holds(prompt.expectation or {}, things) for things in found]
        for prompt in benchmark.prompts()
    ]
    assert {sum(row) for row in true} == {len(pictures) // len(true)}
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_imagenet_names_each_class_once() -> None:
    prompts, classes = BENCHMARKS["imagenet"].prompts(), Classes(imagenet_names())
    found = {prompt.prompt_id: classes.find(prompt.prompt) for prompt in prompts}
    assert found == {f"{id:04d}": id for id in range(1000)}


def test_the_first_of_imagenet_are_classes_of_all_kinds() -> None:
    """Its ids begin with fishes and birds: in their order a limit would ask for those alone."""
    first = first_of_each_task(BENCHMARKS["imagenet"].prompts(), 100)
    animals = sum(int(prompt.prompt_id) < 398 for prompt in first)
    assert len(first) == 100 and 25 <= animals <= 55
