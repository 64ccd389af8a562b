"""Models come from a hub whole, with the right hashes, and are known to be here or not."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakeoff.samplers.architectures import MEISSONIC
from bakeoff.samplers.catalog import check_downloaded, find_model, load_sampler, weights_hash
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.fetching import NOTE, FetchedFile, fetch, fetched_files, is_here, take
from bakeoff.samplers.model_entry import ModelEntry, Source
from bakeoff.samplers.models import MODELS
from tests.hub_server import Hub, hash_of, serve

CHECKPOINT = Path(__file__).parents[1] / "golden/meissonic/ckpt_plain"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
NAMES = ("transformer/*.json", "transformer/*.safetensors", "vqvae/*", "tokenizer/*")
ENTRY = ModelEntry(
    "small",
    MEISSONIC,
    sources=(
        Source("maker/small", tuple(f"release/{name}" for name in NAMES), within="release"),
        Source("else/clip", ("config.json", "model.safetensors"), "text_encoder", revision="v1"),
    ),
)


def checkpoint_files() -> dict[str, dict[str, bytes]]:
    """Return the repositories of `ENTRY`, with a file that nobody asked for."""
    made = {f"release/{file.relative_to(CHECKPOINT).as_posix()}": file.read_bytes()
            for file in CHECKPOINT.rglob("*") if file.is_file()}  # fmt: skip
    encoder = CHECKPOINT / "text_encoder"
    clip = {file.name: file.read_bytes() for file in encoder.iterdir()}
    return {"maker/small": {**made, "release/transformer/x.bin": b"no"}, "else/clip": clip}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(MODELS.own, "small", ENTRY)
    with serve(checkpoint_files()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield hub


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of a plain copy of the same files."""
    folder = tmp_path_factory.mktemp("copied")
    for part in ("transformer", "vqvae", "tokenizer", "text_encoder"):
        shutil.copytree(CHECKPOINT / part, folder / part)
    return weights_hash(folder)


def fetch_small() -> list[FetchedFile]:
    return fetch(ENTRY, lambda line: None)


def refused() -> str:
    with pytest.raises(InputError) as caught:
        fetch_small()
    assert "\n" not in str(caught.value)
    assert not is_here(ENTRY)
    return str(caught.value)


def test_a_fetched_model_is_the_same_as_a_copy_of_its_files(hub: Hub, copied: str) -> None:
    lines: list[str] = []
    with pytest.raises(InputError, match=r"'small' is not downloaded: `bakeoff fetch small` gets"):
        check_downloaded("small")
    files = fetch(ENTRY, lines.append)
    (line,) = lines
    assert line.startswith(f"small: {len(files)} files, 0.00 GB")
    assert is_here(ENTRY) and fetched_files(ENTRY) == files
    assert {file.commit for file in files} == {hub.commit} and hub.revisions == ["main", "v1"]
    assert not any(file.name.endswith("x.bin") for file in files)
    for file in files:
        assert hash_of("x.pt", (find_model("small").folder / file.file).read_bytes()) == file.sha256
    assert weights_hash("small") == copied
    assert load_sampler("small").weights_hash == copied


def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    hub: Hub, copied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # bytes that are lost at most
    name = f"release/{WEIGHTS}"
    hub.cut[name] = 100_000
    fetch_small()
    first, *_, last = hub.downloads(name)
    assert (first, last.partition("-")[0]) == ("", "bytes=100000")
    assert weights_hash("small") == copied


def test_finished_files_are_not_loaded_again(hub: Hub) -> None:
    kept = hub.repositories["else/clip"].pop("model.safetensors")
    assert "else/clip at cccc" in refused() and not hub.asked  # nothing is loaded in vain
    hub.repositories["else/clip"]["model.safetensors"] = kept
    hub.corrupt.add("model.safetensors")
    refused()
    hub.corrupt.clear()
    fetch_small()
    assert len(hub.downloads(f"release/{WEIGHTS}")) == 1
    assert len(hub.downloads("model.safetensors")) == 2


@pytest.mark.parametrize("name", [f"release/{WEIGHTS}", "release/vqvae/config.json"])
def test_content_with_another_hash_is_refused_and_deleted(
    hub: Hub, tmp_path: Path, copied: str, name: str
) -> None:
    hub.corrupt.add(name)
    right = hash_of(name, hub.repositories["maker/small"][name])
    sentence = refused()
    assert name in sentence and right[:12] in sentence
    kept = [file.as_posix() for file in (tmp_path / "hub").rglob("*")]
    left = [file for file in kept if file.endswith((name, right))]
    assert not left
    hub.corrupt.clear()
    fetch_small()
    assert weights_hash("small") == copied


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "GatedRepo", "maker/small is gated: accept its licence at http"),
        (401, "RepoNotFound", "repository maker/small is not on http"),
        (404, "RevisionNotFound", "repository maker/small has no revision None"),
        (403, "Other", "refused maker/small"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_sentence(
    hub: Hub, status: int, code: str, told: str
) -> None:
    hub.refusals["maker/small"] = (status, code)
    assert told in refused()


def test_a_file_that_the_repository_lacks_is_named_before_anything_is_loaded(hub: Hub) -> None:
    del hub.repositories["else/clip"]["config.json"]
    assert refused() == f"repository else/clip at {hub.commit} has no file 'config.json'"
    assert not hub.asked


def test_offline_is_told_in_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nothing listens
    sentence = refused()
    assert sentence.startswith("http://127.0.0.1:9 does not answer (")
    assert "is this machine offline?" in sentence and "--from FOLDER" in sentence
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused() == "HF_HUB_OFFLINE is set, so nothing is downloaded: unset it"


def test_files_that_went_away_or_shrank_are_not_here(hub: Hub, tmp_path: Path) -> None:
    fetch_small()
    link = find_model("small").folder / WEIGHTS
    blob = link.resolve()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1])
    assert not is_here(ENTRY)
    blob.unlink()
    assert not is_here(ENTRY)
    with pytest.raises(InputError, match="is not downloaded"):
        load_sampler("small")
    blob.write_bytes(content)
    assert is_here(ENTRY)


@pytest.mark.parametrize("note", ["", "{}", '{"version": 99, "files": []}', '{"files": [1]}'])
def test_a_note_that_cannot_be_read_vouches_for_nothing(hub: Hub, note: str) -> None:
    fetch_small()
    (find_model("small").folder / NOTE).write_text(note)
    assert not is_here(ENTRY)
    fetch_small()
    assert is_here(ENTRY)


def test_a_folder_that_cannot_be_written_is_told(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "cannot be written (Not a directory): let XDG_CACHE_HOME name another" in refused()


def test_a_local_copy_is_taken_under_its_own_paths_or_the_official_ones(
    hub: Hub, tmp_path: Path, copied: str
) -> None:
    files = take(ENTRY, CHECKPOINT)
    assert is_here(ENTRY) and not hub.revisions
    assert {file.commit for file in files} == {None}
    assert weights_hash("small") == copied
    official = tmp_path / "official"
    shutil.copytree(CHECKPOINT, official / "release")
    for file in (official / "release/text_encoder").iterdir():
        shutil.copy(file, official)
    take(ENTRY, official)
    assert weights_hash("small") == copied
    (official / "model.safetensors").unlink()
    with pytest.raises(InputError) as caught:
        take(ENTRY, official)
    told = f"folder {str(official)!r} holds no text_encoder/model.safetensors or model.safetensors"
    assert str(caught.value) == f"{told}, from else/clip"
    assert not is_here(ENTRY)  # one of its files went away
    with pytest.raises(InputError, match="'nowhere' does not exist"):
        take(ENTRY, Path("nowhere"))


def test_what_is_not_on_the_hub_is_told_where_to_get(hub: Hub) -> None:
    far = Source("https://example.org/files", ("a_checkpoint", "b_checkpoint"))
    entry = ModelEntry("far", MEISSONIC, sources=(far,))
    with pytest.raises(InputError) as caught:
        fetch(entry, lambda line: None)
    assert str(caught.value) == (
        "model 'far' is not on the Hugging Face hub: get a_checkpoint and b_checkpoint from "
        "https://example.org/files by hand, then `bakeoff fetch far --from FOLDER`"
    )


def test_the_note_names_place_commit_and_hash_of_each_file(hub: Hub) -> None:
    fetch_small()
    note = json.loads((find_model("small").folder / NOTE).read_text())
    told = {file["file"]: file for file in note["files"]}
    weights = told["text_encoder/model.safetensors"]
    assert (weights["place"], weights["name"]) == ("else/clip", "model.safetensors")
    assert (weights["commit"], len(weights["sha256"])) == (hub.commit, 64)
