import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff.samplers.classes import Classes, imagenet_names
from bakeoff.samplers.errors import InputError

BIRDS = Classes(["crane", "Hen", "a", "crane", "10", "red kite"])


@pytest.mark.parametrize(
    ("prompt", "id"),
    [
        ("hen", 1),
        ("  HEN ", 1),
        ("a hen", 1),
        ("an hen", 1),
        ("A photo of a  red  kite", 5),
        ("a photo of hen", 1),
        ("a", 2),
        ("a photo of a a", 2),
        ("3", 3),
        ("a photo of a 3", 3),
        ("crane (3)", 3),
        ("a Crane (0)", 0),
        ("hen (1)", 1),
        ("10", 4),  # a name, though there is no class of that number
    ],
)
def test_a_prompt_names_a_class_by_its_name_or_its_number(prompt: str, id: int) -> None:
    assert BIRDS.find(prompt) == id


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("crane", "prompt 'crane' names several classes: say 'crane (0)' or 'crane (3)'"),
        ("a hin", "prompt 'a hin' names none of the model's classes; did you mean 'Hen'?"),
        ("hen (3)", "prompt 'hen (3)' names none of the model's classes; did you mean 'Hen'?"),
        (
            "6",
            "prompt '6' names none of the model's classes; "
            "say a name, as 'crane (0)', or a number from 0 to 5",
        ),
        (
            "",
            "prompt '' names none of the model's classes; "
            "say a name, as 'crane (0)', or a number from 0 to 5",
        ),
        (
            "²",
            "prompt '²' names none of the model's classes; "
            "say a name, as 'crane (0)', or a number from 0 to 5",
        ),
    ],
)
def test_a_prompt_that_names_no_class_is_refused(prompt: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        BIRDS.find(prompt)
    assert str(caught.value) == sentence


@given(st.lists(st.text("abcÄß é", min_size=1).filter(str.strip), min_size=1))
def test_each_class_is_found_by_its_label_and_its_number(names: list[str]) -> None:
    classes = Classes(names)
    assert [classes.find(label) for label in classes.labels] == list(range(len(names)))
    assert [classes.find(str(id)) for id in range(len(names))] == list(range(len(names)))


@given(st.text())
def test_any_prompt_is_a_class_or_a_clear_error(prompt: str) -> None:
    try:
        assert 0 <= BIRDS.find(prompt) < 6
    except InputError as error:
        assert len(str(error)) < 300


def test_imagenet_needs_no_file(tmp_path: Path) -> None:
    classes = Classes.from_folder(tmp_path, 1000)
    assert classes.find("a photo of a golden retriever") == 207
    assert (classes.find("crane bird"), classes.find("crane")) == (134, 517)
    assert [label for label in classes.labels if "(" in label] == [
        "Cardigan (264)",
        "cardigan (474)",
    ]
    assert [classes.find(f"an {label}") for label in classes.labels] == list(range(1000))
    assert list(classes.names) == imagenet_names()


def test_other_classes_have_the_names_of_their_file_or_numbers(tmp_path: Path) -> None:
    assert Classes.from_folder(tmp_path, 3).labels == ("0", "1", "2")
    (tmp_path / "classes.json").write_text(json.dumps(["Möwe", "hen", "kite"]))
    assert Classes.from_folder(tmp_path, 3).find("möwe") == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"hen": 0}', "must hold a list of class names"),
        ('["hen", "kite"', "is not JSON (Expecting ',' delimiter: line 1 column 15 (char 14))"),
        ('["hen"]', "must name 2 classes as the model has, got 1"),
        ('["hen", 3]', "class names must be texts of 1 to 200 characters, got 3"),
        ('["hen", " "]', "class names must be texts of 1 to 200 characters, got ' '"),
    ],
)
def test_a_wrong_file_of_classes_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(InputError) as caught:
        Classes.from_folder(tmp_path, 2)
    assert str(caught.value) == f"{tmp_path / 'classes.json'}: {sentence}"
