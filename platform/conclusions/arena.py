"""The arena: two pictures of one prompt and seed place, side by side without names, and a vote.

Sides and the order of questions are up to chance, so that neither tells who made a picture and the
prompts that have votes are a random choice of all.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from bakeoff.platform.conclusions.side_by_side import stored_pngs
from bakeoff.platform.execution.provenance import new_run_id
from bakeoff.platform.queries.views import Row, Views
from bakeoff.platform.store.store import Store

LONGEST_NAME = 80  # characters of a voter's


@dataclass(frozen=True)
class Side:
    """One of the two pictures, and what made it; `png` is None where the store holds none."""

    entry: str
    sample_id: str
    model: str
    weights_hash: str
    recipe_id: str
    seed: int
    png: bytes | None


@dataclass(frozen=True)
class Duel:
    """A question: which picture is better?"""

    study: str
    benchmark: str
    prompt_id: str
    prompt: str
    seed_place: int
    left: Side
    right: Side
    questions: int  # that these two entries can be asked about
    voted: int  # of them, that have a vote


def next_duel(views: Views, study: str, *, entry: str, opponent: str, shuffle: int) -> Duel | None:
    """Return what to ask next about two entries; None if they have no prompt in common.

    `shuffle` is a random number that stands for an order of questions and their sides: as long as
    nobody votes, the same one gives the same question.
    """
    rows = views.query("duel", study=study, entry=entry, opponent=opponent, shuffle=shuffle)
    if len(rows) != 2:
        return None
    parts = {row["part"] for row in rows if row["part"]}
    pictures = stored_pngs(views, [row["sample_id"] for row in rows], parts)
    sides = [_side(row, pictures.get(row["sample_id"])) for row in rows]
    first = rows[0]
    if Random(f"{shuffle} {first['prompt_id']} {first['seed_place']}").random() < 0.5:
        sides.reverse()
    told = ("benchmark", "prompt_id", "prompt", "seed_place", "questions", "voted")
    return Duel(study, left=sides[0], right=sides[1], **{name: first[name] for name in told})


def _side(row: Row, png: bytes | None) -> Side:
    told = ("entry", "sample_id", "model", "weights_hash", "recipe_id", "seed")
    return Side(**{name: row[name] for name in told}, png=png)


def cast(store: Store, duel: Duel, result: float, voter: str = "") -> None:
    """Store a vote: 1 for the left picture, 0 for the right, 0.5 for neither.

    It is a part of its own, which compaction joins with others.

    Raises:
        OSError: the store cannot be written.
    """
    now = datetime.now(UTC)
    row = {"vote_id": new_run_id(now), "voted": now, "result": result}
    row |= {name: getattr(duel, name) for name in ("study", "benchmark", "prompt_id", "prompt")}
    row |= {"seed_place": duel.seed_place, "voter": voter.strip()[:LONGEST_NAME]}
    for place, side in (("left", duel.left), ("right", duel.right)):
        for name in ("sample_id", "model", "weights_hash", "recipe_id", "seed"):
            row[f"{place}_{name}"] = getattr(side, name)
    store.write("votes", str(row["vote_id"]), [row])
