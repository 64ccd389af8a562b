import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bakeoff.samplers.networks.caption_cleaning import clean_caption
from bakeoff.samplers.tiny.grammar import shapes_prompts


def test_captions_are_cleaned_as_officially(golden: Path) -> None:
    described = json.loads((golden / "llamagen/text_cleaning.json").read_text(encoding="utf-8"))
    assert described["cases"]
    for case in described["cases"]:
        assert clean_caption(case["in"]) == case["out"], case["in"]


def test_a_run_of_signs_becomes_one_space() -> None:
    assert clean_caption("free***download it") == "it"


def test_captions_of_the_embedded_world_are_clean_already() -> None:
    for split in ("train", "held_out"):
        for prompt in shapes_prompts(split):
            assert clean_caption(prompt.prompt) == prompt.prompt


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_clean_form_on_one_line(text: str) -> None:
    cleaned = clean_caption(text)
    assert cleaned == cleaned.strip() and "\n" not in cleaned
