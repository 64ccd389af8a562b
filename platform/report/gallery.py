"""Pictures of a report: the same prompts for all entries, few and small enough for one file."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from bakeoff.platform.conclusions.leaderboard import Leaderboard, Standing
from bakeoff.platform.conclusions.side_by_side import (
    Disputed,
    Question,
    disputed_prompts,
    pictures,
    prompt_text,
    scores,
)
from bakeoff.platform.queries.views import Views
from bakeoff.platform.report.section import Picture, Section, Shelf
from bakeoff.platform.store.pictures import data_uri

PROMPTS = 4  # of each kind: those that entries differ on most, and others by chance
MOST_PICTURES = 400
EDGE = 192  # pixels a side; larger ones are reduced to it
MOST_CHARACTERS = 6_000_000  # of all pictures in the file, as text
LONGEST_PROMPT = 400  # characters shown; a store may hold prompts of any length


def gallery_section(views: Views, board: Leaderboard) -> Section | None:
    """Return pictures of the prompts worth a look, at the first seed; None without any."""
    shelves = _shelves(views, board)
    if not shelves:
        return None
    told = (
        "The same prompt at the same seed position in each row of pictures: the prompts on whose "
        f"{board.decided_by} entries differ most, and others drawn by chance, the same ones for "
        "everyone."
    )
    return Section("Pictures", [told], shelves=shelves)


def _shelves(views: Views, board: Leaderboard) -> list[Shelf]:
    """Return the chosen prompts with as many entries and bytes as one file takes."""
    entries = tuple(standing.entry for standing in _pictured(board))
    most = MOST_PICTURES // max(1, len(entries))
    prompts = disputed_prompts(views, Question(board.study, entries, metric=board.decided_by))
    shelves, left = [], MOST_CHARACTERS
    for prompt, reason in _chosen(prompts, min(PROMPTS, (most + 1) // 2))[:most]:
        shown = list(_pictures(views, board, prompt.prompt_id, left))
        left -= sum(len(picture.uri or "") for picture in shown)
        text = prompt_text(views, board.study, prompt.prompt_id)
        cut = text if len(text) <= LONGEST_PROMPT else f"{text[:LONGEST_PROMPT]} …"
        shelves.append(Shelf(cut, prompt.task or "", reason, shown))
    return shelves


def _pictured(board: Leaderboard) -> list[Standing]:
    return [standing for standing in board.standings if standing.samples][:MOST_PICTURES]


def _chosen(prompts: Sequence[Disputed], count: int) -> list[tuple[Disputed, str]]:
    """Return the first prompts that anybody disputes, and others by a hash, alike for everyone."""
    disputed = [prompt for prompt in prompts[:count] if prompt.spread]
    others = sorted(prompts[len(disputed) :], key=lambda one: _hash(one.prompt_id))[:count]
    return [
        *((prompt, f"scores differ by {prompt.spread:.3g}") for prompt in disputed),
        *((prompt, "by chance") for prompt in others),
    ]


def _hash(prompt_id: str) -> bytes:
    return sha256(prompt_id.encode()).digest()


def _pictures(views: Views, board: Leaderboard, prompt_id: str, left: int) -> Iterator[Picture]:
    """Yield the pictures of a prompt, until one does not fit into what is left."""
    found = pictures(views, board.study, [prompt_id])
    told = scores(views, board.study, [prompt_id])
    for standing in _pictured(board):
        own = found.get((standing.entry, prompt_id))
        uri = data_uri(own.png, EDGE) if own and left > 0 else None
        left -= len(uri or "")
        spelled = _spelled(told.get((standing.entry, prompt_id), {}))
        yield Picture(standing.entry, standing.model, uri if left >= 0 else None, spelled)


def _spelled(by_metric: Mapping[str, float]) -> str:
    return "\n".join(f"{metric} {value:.3g}" for metric, value in by_metric.items())
