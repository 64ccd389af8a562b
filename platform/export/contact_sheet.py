"""A contact sheet: the same prompts in each row, one entry in each column."""

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from bakeoff.platform.conclusions.side_by_side import pictures
from bakeoff.platform.queries.views import Views
from bakeoff.platform.store.pictures import readable_picture
from bakeoff.samplers.errors import InputError

MARGIN = 10
GAP = 8
PICTURE = 128  # pixels a side; small pictures are enlarged by whole factors to keep their edges
MAX_PICTURE = 256  # larger ones are reduced to this
PROMPT_WIDTH = 210
FONT_SIZE = 15
LINE = 19
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
INK, PAPER, EMPTY, QUIET = "#1a1a1a", "#ffffff", "#ececec", "#6b6b6b"


def contact_sheet(views: Views, study: str, prompts: int = 12) -> Image.Image:
    """Return the sheet of a study's first prompts, tasks taking turns, at the first seed.

    A picture that the store does not hold, or that cannot be read, stays an empty field.

    Raises:
        InputError: the study has no pictures yet.
    """
    rows = views.query("study_prompts", study=study)[:prompts]
    if not rows:
        raise InputError(f"study {study!r} has no pictures yet")
    entries = [row["entry"] for row in views.query("study_entries", study=study)]
    wanted = [row["prompt_id"] for row in rows]
    readable = {
        where: picture
        for where, stored in pictures(views, study, wanted).items()
        if (picture := readable_picture(stored.png))
    }
    labels = [(f"{row['task']}: {row['prompt']}", row["prompt_id"]) for row in rows]
    return _draw(entries, labels, readable)


def _draw(
    entries: Sequence[str],
    labels: Sequence[tuple[str, str]],
    pictures: dict[tuple[str, str], Image.Image],
) -> Image.Image:
    font = ImageFont.load_default(FONT_SIZE)
    side = max((_shown_side(picture) for picture in pictures.values()), default=PICTURE)
    headings = [_lines(name.replace("/", "/ "), side, font) for name in entries]
    top = MARGIN + LINE * max(len(lines) for lines in headings) + GAP
    left = MARGIN + PROMPT_WIDTH + GAP
    size = (left + len(entries) * (side + GAP), top + len(labels) * (side + GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, lines in enumerate(headings):
        _write(draw, (left + column * (side + GAP), MARGIN), lines, font, INK)
    for row, (label, prompt_id) in enumerate(labels):
        y = top + row * (side + GAP)
        task, _, prompt = label.partition(": ")
        _write(draw, (MARGIN, y), [task], font, QUIET)
        lines = _lines(prompt, PROMPT_WIDTH, font)[: side // LINE - 1]
        _write(draw, (MARGIN, y + LINE), lines, font, INK)
        for column, entry in enumerate(entries):
            corner = (left + column * (side + GAP), y)
            picture = pictures.get((entry, prompt_id))
            if picture is None:
                draw.rectangle((*corner, corner[0] + side - 1, y + side - 1), fill=EMPTY)
            else:
                sheet.paste(_fitted(picture, side), corner)
    return sheet


def _shown_side(picture: Image.Image) -> int:
    side = max(picture.size)
    return min(side * max(1, PICTURE // side), MAX_PICTURE)


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    """Return the picture at the given side length, small ones with sharp pixels."""
    enlarged = max(picture.size) < side
    method = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
    return picture.resize((side, side), method)


def _lines(text: str, width: int, font: Font) -> list[str]:
    """Return the text in lines of at most `width` pixels; a word alone may be cut in two."""
    return wrap(text, max(4, int(width / font.getlength("n")))) or [""]


def _write(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: Sequence[str],
    font: Font,
    color: str,
) -> None:
    for place, line in enumerate(lines):
        draw.text((corner[0], corner[1] + place * LINE), line, fill=color, font=font)
