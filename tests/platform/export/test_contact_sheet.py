"""The contact sheet shows each entry's picture at its place."""

import io
from pathlib import Path

import pytest
from PIL import Image

from bakeoff.platform.export.contact_sheet import EMPTY, contact_sheet
from bakeoff.platform.queries.views import open_views
from bakeoff.samplers.errors import InputError
from tests.store_writer import StoreWriter, png

A, B = "m/a", "m/b"


@pytest.fixture
def writer(tmp_path: Path) -> StoreWriter:
    return StoreWriter(tmp_path / "store")


def colors(sheet: Image.Image) -> set[tuple[int, ...]]:
    return {color for _, color in sheet.getcolors(sheet.width * sheet.height)}


def color(name: str) -> tuple[int, ...]:
    return Image.open(io.BytesIO(png(name))).getpixel((0, 0))


def centre(sheet: Image.Image, wanted: tuple[int, ...]) -> tuple[float, float]:
    at = [
        (x, y)
        for x in range(0, sheet.width, 4)
        for y in range(0, sheet.height, 4)
        if sheet.getpixel((x, y)) == wanted
    ]
    return sum(x for x, _ in at) / len(at), sum(y for _, y in at) / len(at)


def test_rows_are_prompts_and_columns_entries(writer: StoreWriter) -> None:
    prompts = {"x-1": [1], "y-1": [0]}
    writer.run({"composition": {A: prompts, B: prompts}})
    sheet = contact_sheet(open_views(writer.path), "study")
    places = {(e, p): centre(sheet, color(f"{e} {p}")) for e in (A, B) for p in prompts}
    assert places[A, "x-1"][0] == places[A, "y-1"][0] < places[B, "x-1"][0]
    assert places[A, "x-1"][1] == places[B, "x-1"][1] < places[A, "y-1"][1]


def test_the_number_of_prompts_is_limited_across_tasks(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {"x-1": [1], "x-2": [1], "y-1": [1]}}})
    found = colors(contact_sheet(open_views(writer.path), "study", prompts=2))
    assert {color(f"{A} x-1"), color(f"{A} y-1")} <= found
    assert color(f"{A} x-2") not in found


def test_a_picture_that_is_missing_stays_an_empty_field(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {"x-1": [1]}, B: {}}})
    empty = tuple(int(EMPTY[i : i + 2], 16) for i in (1, 3, 5))
    assert empty in colors(contact_sheet(open_views(writer.path), "study"))


def test_a_prompt_of_any_length_keeps_to_its_field(writer: StoreWriter) -> None:
    short, long = {"x-1": "a"}, {"x-1": "word " * 5000 + "x" * 5000}
    sizes = []
    for study, prompts in (("short", short), ("long", long)):
        writer.run({"composition": {A: {"x-1": [1]}}}, study=study, prompts=prompts)
        sizes.append(contact_sheet(open_views(writer.path), study).size)
    assert sizes[0] == sizes[1]


def test_a_study_without_pictures_is_told_in_one_sentence(writer: StoreWriter) -> None:
    writer.run({"composition": {A: {}}})
    with pytest.raises(InputError, match="'study' has no pictures yet"):
        contact_sheet(open_views(writer.path), "study")
