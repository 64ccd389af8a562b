"""Folders of finished pictures: read with care, stored as samples, scored like any study."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bakeoff.platform.cli import app
from bakeoff.platform.conclusions.leaderboard import leaderboard
from bakeoff.platform.execution.finished import read_finished, take_in
from bakeoff.platform.execution.picture_folder import METADATA, read_pictures
from bakeoff.platform.execution.plan import sample_id
from bakeoff.platform.execution.run import carry_out, prepare
from bakeoff.platform.execution.sampling import Workplace
from bakeoff.platform.execution.scoring import ScorerStage
from bakeoff.platform.queries.views import open_views
from bakeoff.platform.store.pictures import decode_png
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.verify import verify
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe
from tests.trials import scores

RED = {"tag": "single_object", "include": [{"class": "circle", "count": 1, "color": "red"}]}
Line = dict[str, Any]


def line(name: str, **told: Any) -> Line:
    return {"file_name": name, "prompt": "a red circle", **told}


def write(folder: Path, *lines: Line, pictures: bool = True) -> Path:
    """Write the metadata and a picture for each line, of a colour by its name."""
    folder.mkdir(exist_ok=True)
    (folder / METADATA).write_text("".join(json.dumps(one) + "\n" for one in lines))
    for one in lines if pictures else ():
        file = folder / one["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        colour = np.frombuffer(file.stem.encode().ljust(3)[-3:], np.uint8)
        Image.fromarray(np.full((8, 8, 3), colour)).save(file)
    return folder


def take(folder: Path, store: Path) -> None:
    """Take in and score a folder without Ray."""
    finished = read_finished(folder, "trial", ["clip_score"])
    place = Store(store)
    take_in(finished, place)
    work = prepare(finished.study, place, 4)
    at = Workplace(place.claimed("bare"), "bare", "cpu")
    scorer = ScorerStage(at)
    for shard in work.make_plan().shards(lambda entry, lack: 4):
        assert not shard.needs_model
        row = {"kind": "shard", "work": shard.to_json(), "part": shard.part}
        done = scorer(row | {"made": 0, "failed": 0, "stopped": ""})
        assert not done["stopped"] and not done["failed"], done
    left = prepare(finished.study, place, 4)
    assert not left.is_due
    carry_out(left, None, lambda progress: None)  # is noted only


def rows(store: Path, table: str, *columns: str) -> list[Line]:
    return Store(store).read(table, columns).to_pylist()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_told_of_a_picture_becomes_its_sample(tmp_path: Path) -> None:
    told = {"model": "sdxl", "recipe": "cfg 7, 30 steps", "task": "single", "prompt_id": "p1"}
    folder = write(tmp_path / "in", line("deep/a.png", **told, seed=7, expectation=RED))
    finished = read_finished(folder, "trial")
    assert finished.study.metrics == ("composition", "clip_score")
    (entry,) = finished.study.entries
    assert (entry.name, entry.seeds, entry.baseline) == ("sdxl/cfg-7-30-steps", (7,), True)
    take_in(finished, Store(tmp_path / "store"))
    columns = [
        *("sample_id", "model", "weights_hash", "recipe", "recipe_id", "benchmark", "task"),
        *("prompt_id", "prompt", "seed", "image", "tokens", "row_evaluations", "device", "dtype"),
    ]
    (row,) = rows(tmp_path / "store", "samples", *columns)
    (prompt,) = finished.study.prompts
    identity = {"model": "sdxl", "weights_hash": "unknown", "recipe_id": entry.recipe.recipe_id}
    expected = sample_id(**identity, benchmark="prompts", prompt=prompt, seed=7)
    assert row["sample_id"] == expected
    assert row | told | {"seed": 7, "prompt": "a red circle"} == row
    assert [row[name] for name in ("tokens", "row_evaluations", "device", "dtype")] == [None] * 4
    with Image.open(folder / "deep/a.png") as image:
        assert np.array_equal(decode_png(row["image"]["bytes"]), np.asarray(image))
    assert verify(tmp_path / "store").is_sound


def test_names_follow_from_each_other(tmp_path: Path) -> None:
    lines = [
        line("a.png"),
        line("b.png", model="m"),
        line("c.png", model="m", recipe="steps=4 guidance_scale=2"),
        line("d.png", entry="m/fast"),
        line("e.png", model="m", recipe="steps=2", entry="m/short"),
    ]
    pictures = read_pictures(write(tmp_path, *lines, pictures=False))
    assert [(one.entry, one.model, one.recipe) for one in pictures] == [
        ("images/finished", "images", "finished"),
        ("m/finished", "m", "finished"),
        ("m/steps-4-guidance_scale-2", "m", "steps=4 guidance_scale=2"),
        ("m/fast", "m", "fast"),
        ("m/short", "m", "steps=2"),
    ]
    entries = read_finished(tmp_path, "trial").study.entries
    assert entries[2].recipe == Recipe(steps=4, guidance_scale=2.0)
    assert len({(entry.model, entry.recipe.recipe_id) for entry in entries}) == 5


def test_pictures_without_seeds_are_numbered_by_entry_and_prompt(tmp_path: Path) -> None:
    lines = [
        line("a.png", model="m"),
        line("b.png", model="n"),
        line("c.png", model="m"),
        line("d.png", model="m", prompt="a dog"),
    ]
    pictures = read_pictures(write(tmp_path, *lines, pictures=False))
    assert [one.seed for one in pictures] == [0, 0, 1, 0]


def test_a_folder_is_scored_once_and_extended(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = [line("a.png", model="m"), line("b.png", model="n")]
    take(write(tmp_path / "in", *first), store)
    made = scores(store)
    assert len(made) == 2
    board = leaderboard(open_views(store))
    assert [(one.entry, one.samples) for one in board.standings] == [
        ("m/finished", 1),
        ("n/finished", 1),
    ]
    assert [one.seconds_per_image or one.row_evaluations for one in board.standings] == [None] * 2
    before = contents(store)
    take(tmp_path / "in", store)
    before[str(store / "claim.json")] = (store / "claim.json").read_bytes()  # of the stage here
    assert contents(store) == before
    more = [line("c.png", model="m", prompt="a dog"), line("d.png", model="n", prompt="a dog")]
    take(write(tmp_path / "in", *first, *more), store)
    assert len(scores(store)) == 4 and scores(store) | made == scores(store)


def test_what_cannot_be_read_fails_and_is_taken_when_it_is_mended(tmp_path: Path) -> None:
    store = tmp_path / "store"
    folder = write(tmp_path / "in", line("a.png"), line("b.png", prompt="a dog"))
    good = (folder / "b.png").read_bytes()
    for broken in (good[:45], b"", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        (folder / "b.png").write_bytes(broken)
        take(folder, store)
        (failed,) = rows(store, "failures", "prompt", "stage", "error_type", "attempt")
        assert (failed["prompt"], failed["stage"], failed["attempt"]) == ("a dog", "generate", 3)
        assert failed["error_type"] in ("OSError", "UnidentifiedImageError")
    (folder / "b.png").unlink()
    take(folder, store)
    (failed,) = rows(store, "failures", "error_type")
    assert failed["error_type"] == "FileNotFoundError" and len(scores(store)) == 1
    (folder / "b.png").write_bytes(good)
    take(folder, store)
    assert len(scores(store)) == 2


def test_what_an_entry_lacks_beside_the_others_is_told(tmp_path: Path) -> None:
    lines = [line("a.png", model="m"), line("b.png", model="m", prompt="a dog")]
    folder = write(tmp_path / "in", *lines, line("c.png", model="n"))
    take(folder, tmp_path / "store")
    (failed,) = rows(tmp_path / "store", "failures", "model", "prompt", "message")
    assert (failed["model"], failed["prompt"]) == ("n", "a dog")
    assert failed["message"] == "metadata.jsonl has no picture of this prompt with seed 0"


def test_other_pixels_under_one_identity_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", line("a.png"))
    take(folder, tmp_path / "store")
    before = contents(tmp_path / "store")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    with pytest.raises(InputError, match=r"metadata.jsonl:1: a.png has other pixels than the"):
        take(folder, tmp_path / "store")
    assert contents(tmp_path / "store") == before


def test_expectations_that_the_detector_does_not_know_are_not_judged_by_it(tmp_path: Path) -> None:
    dog = {"tag": "single_object", "include": [{"class": "dog", "count": 1}]}
    lines = [line("a.png", expectation=RED), line("b.png", prompt="a dog", expectation=dog)]
    folder = write(tmp_path / "folder", *lines)
    assert read_finished(folder, "trial").study.metrics == ("clip_score",)
    with pytest.raises(InputError, match=rf"{METADATA}:2: class 'dog' of an .* is unknown"):
        read_finished(folder, "trial", ["composition"])


def test_another_expectation_is_refused(tmp_path: Path) -> None:
    blue = {"tag": "single_object", "include": [{"class": "circle", "count": 1, "color": "blue"}]}
    folder = write(tmp_path / "folder", line("a.png", expectation=blue))
    take(folder, tmp_path / "store")
    strange = [{"run_id": text, "study": text} for text in ("{", "expectations: 5", "- 1", "")]
    Store(tmp_path / "store").write("runs", "strange", strange)
    take(folder, tmp_path / "store")
    more = line("b.png", prompt="a blue circle", expectation=blue)
    take(write(tmp_path / "folder", line("a.png", expectation=blue), more), tmp_path / "store")
    mended = write(tmp_path / "folder", more, line("a.png", expectation=RED))
    with pytest.raises(InputError, match=rf"{METADATA}:2: prompt '.*' expects something else"):
        take(mended, tmp_path / "store")


def test_sizes_and_kinds_of_pictures_may_differ(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", *(line(f"{n}.png", prompt=f"dog {n}") for n in range(3)))
    Image.new("RGBA", (6, 4)).save(folder / "0.png")
    Image.new("L", (8, 8)).save(folder / "1.png", format="WEBP", lossless=True)
    Image.new("RGB", (5, 7)).save(folder / "2.png", format="JPEG")
    take(folder, tmp_path / "store")
    assert len(scores(tmp_path / "store")) == 3 and not rows(
        tmp_path / "store", "failures", "model"
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "metadata.jsonl is empty"),
        (["[]"], "metadata.jsonl:1: must be an object"),
        (["{"], "metadata.jsonl:1: is not JSON"),
        (["[" * 100_000], "metadata.jsonl:1: is not JSON"),
        ([line("a.png"), {"prompt": "x"}], "metadata.jsonl:2: file_name is missing"),
        ([line("a.png", promt_id="x")], "key 'promt_id' is unknown; did you mean 'prompt_id'?"),
        ([line("a.png", seed=-1)], "seed must be greater than or equal to 0, got -1"),
        ([line("a.png", seed="1")], "seed must be a valid integer, got '1'"),
        ([line("a.png", model="a/b")], "model 'a/b' must be letters, digits"),
        ([line("a.png", entry="fast")], "entry 'fast' must be MODEL/NAME"),
        ([line("a.png", model="m", entry="n/fast")], "entry 'n/fast' must be m/NAME"),
        ([line("a.png", entry="m/../x")], "entry 'm/../x' must be MODEL/NAME"),
        ([line("a.png") | {"prompt": " "}], "prompt[0] is blank"),
        ([line("a.png") | {"prompt": "a\ndog"}], "holds a line break"),
        ([line("a.png", recipe="a\x1b[0m")], "recipe 'a\\x1b[0m' holds a line break or control"),
        ([line("../a.png")], "file_name '../a.png' leads out of the folder"),
        ([line("/etc/passwd")], "file_name '/etc/passwd' leads out of the folder"),
        ([line("x/../../a.png")], "leads out of the folder"),
        ([line("a\0.png")], "is no name of a file"),
        ([line("link.png")], "file_name 'link.png' leads out of the folder"),
        (
            [line("a.png", seed=1), line("b.png", seed=1)],
            "metadata.jsonl:2: has the entry, prompt and seed of line 1",
        ),
        (
            [line("a.png", prompt_id="p"), line("b.png", prompt_id="p") | {"prompt": "a dog"}],
            "metadata.jsonl:2: has the prompt_id of line 1, but is not the same",
        ),
        ([line("a.png", task="x"), line("b.png", task="y")], "has the prompt_id of line 1"),
        (
            [line("a.png", recipe="r", entry="m/a"), line("b.png", recipe="r", entry="m/b")],
            "has the model and recipe of line 1",
        ),
        (
            [line("a.png", model="m", recipe="r 1"), line("b.png", model="m", recipe="r-1")],
            "has the entry of line 1",
        ),
        (
            [line(f"{n}.png", prompt=f"dog {n}", seed=n) for n in range(20)],
            "20 seeds of 20 prompts make 400 pictures, and 20 are there: leave seed out",
        ),
    ],
)
def test_wrong_metadata_is_refused_in_one_sentence(
    tmp_path: Path, lines: Sequence[Line | str], told: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    (folder / METADATA).write_text("\n".join(texts))
    result = invoke("score", "--images", folder, "--store", tmp_path / "store")
    assert result.exit_code == 2 and result.stdout == ""
    (sentence,) = result.stderr.splitlines()
    assert told in sentence and len(sentence) < 300
    assert not (tmp_path / "store").exists()


def invoke(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--metrics", "clip_scor"], "did you mean 'clip_score'?"),
        (["--metrics", "composition"], "needs expectations"),
        (["--baseline", "images/other"], "baseline 'images/other' is unknown"),
        (["--name", "../x"], "name '../x' must be letters"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str], told: str) -> None:
    folder = write(tmp_path / "in", line("a.png"))
    result = invoke("score", "--images", folder, "--store", tmp_path / "store", *options)
    assert result.exit_code == 2 and told in result.stderr
    assert not (tmp_path / "store").exists()


def test_a_folder_without_metadata_is_refused(tmp_path: Path) -> None:
    result = invoke("score", "--images", tmp_path)
    assert result.exit_code == 2 and "metadata.jsonl cannot be read: No such file" in result.stderr


def test_the_command_scores_shows_and_tells_what_is_missing(
    tmp_path: Path, no_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line("a.png", model="m"), line("b.png", model="n")]
    write(tmp_path / "my pictures", *lines)
    done = invoke("score", "--images", "my pictures", "--workers", "1")
    assert done.exit_code == 0, done.stderr
    assert "Study my-pictures: 2 entries × 1 prompts = 2 images, 2 to do" in done.stdout
    assert "n/finished" in " ".join(done.stdout.split()).replace(" finished", "/finished")
    assert len(scores(tmp_path / "bakeoff-store/my-pictures")) == 2
    os.remove("my pictures/b.png")
    again = invoke("score", "--images", "my pictures")
    assert again.exit_code == 0  # what is stored needs no file
    write(tmp_path / "my pictures", *lines, line("c.png", model="m", prompt="a dog"))
    lacking = invoke("score", "--images", "my pictures", "--workers", "1")
    assert lacking.exit_code == 1
    assert "1 images failed" in lacking.stderr and "no picture of this prompt" in lacking.stderr


def test_every_verb_reads_such_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a contact sheet is written there
    store = tmp_path / "store"
    take(write(tmp_path / "in", line("a.png", model="m"), line("b.png", model="n")), store)
    checks: dict[tuple[str, ...], Callable[[Result], bool]] = {
        ("status", str(store)): lambda told: "done" in told.stdout,
        ("verify", str(store), "--rescore", "2"): lambda told: "2 of 2 equal" in told.stdout,
        ("compare", str(store), "m/finished", "n/finished"): lambda told: "0 %" in told.stdout,
        ("leaderboard", str(store), "--equal", "compute"): lambda told: "unknown" in told.stdout,
        ("show", str(store)): lambda told: True,
        ("compact", str(store)): lambda told: True,
        ("export", str(store), str(tmp_path / "out"), "--to", "csv"): lambda told: True,
    }
    for arguments, is_right in checks.items():
        told = invoke(*arguments)
        assert told.exit_code == 0, (arguments, told.output)
        assert is_right(told), (arguments, told.output)
    (sample, *_) = rows(store, "samples", "sample_id")
    replayed = invoke("replay", store, sample["sample_id"])
    assert replayed.exit_code == 2 and "cannot be made again" in replayed.stderr
