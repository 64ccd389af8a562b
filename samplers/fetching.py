"""Getting a model's files: from the Hugging Face hub or a local folder, checked, linked and noted.

Files stay where the hub's own cache, or the user, keeps them. The model's folder holds links to
them under the names that its architecture expects, and a note of where each came from.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from uuid import uuid4

from bakeoff.samplers.errors import InputError
from bakeoff.samplers.model_entry import ModelEntry, Source

NOTE, NOTE_VERSION = ".fetched", 1  # it is JSON, but not one of the files that make pictures


@dataclass(frozen=True)
class FetchedFile:
    """A file of a model: its name in the model's folder, and where it came from.

    `commit` is that of the repository; None for a local file.
    """

    file: str
    place: str
    name: str
    commit: str | None
    size_bytes: int
    sha256: str


Found = tuple[FetchedFile, Path]


def is_here(entry: ModelEntry) -> bool:
    """Whether all files of a model are on this machine, as long as they were when fetched."""
    return bool(entry.location) or bool(fetched_files(entry))


def fetched_files(entry: ModelEntry) -> list[FetchedFile]:
    """Return the files that were fetched for a model; none unless all of them are there."""
    try:
        note = json.loads((entry.folder / NOTE).read_text(encoding="utf-8"))
        found = [FetchedFile(**file) for file in note["files"]]
        whole = note["version"] == NOTE_VERSION and all(
            (entry.folder / file.file).stat().st_size == file.size_bytes for file in found
        )
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return found if whole else []


def check_here(entry: ModelEntry) -> None:
    """Check that a model's files are on this machine.

    Raises:
        InputError: they are not; the sentence tells how to get them.
    """
    if is_here(entry):
        return
    size = f" (about {entry.download_gb:g} GB)" if entry.download_gb else ""
    raise InputError(
        f"model {entry.name!r} is not downloaded: `bakeoff fetch {entry.name}` gets it{size}"
    )


def fetch(entry: ModelEntry, report: Callable[[str], None]) -> list[FetchedFile]:
    """Download what a model needs from the Hugging Face hub, and make its folder.

    Finished files are not loaded again, and a connection that breaks is taken up where it broke;
    every file's hash is compared with the hub's. `report` is told what will be downloaded.

    Raises:
        InputError: the model's files are elsewhere, the hub cannot be reached or lacks one, or one
            is not what the hub says.
    """
    from bakeoff.samplers.hub import download, list_files

    for source in entry.sources:
        if not source.is_on_hub:
            raise InputError(_by_hand(entry, source))
    wanted = [(source, file) for source in entry.sources for file in list_files(source)]
    size = sum(file.size_bytes for _, file in wanted)
    report(f"{entry.name}: {len(wanted)} files, {size / 1e9:.2f} GB, licence {entry.licence}")
    return _link(
        entry,
        [_found(source, file.name, download(file), file.commit) for source, file in wanted],
    )


def take(entry: ModelEntry, folder: Path) -> list[FetchedFile]:
    """Make a model's folder of files in a local one, under the official paths or the folder's own.

    Raises:
        InputError: one is missing.
    """
    if not folder.is_dir():
        raise InputError(f"folder {str(folder)!r} does not exist")
    return _link(
        entry,
        [
            _found(source, name, path.resolve(), None)
            for source in entry.sources
            for name, path in _local(source, folder)
        ],
    )


def _local(source: Source, folder: Path) -> list[tuple[str, Path]]:
    """Return the official path and the place of each local file of a source."""
    found = []
    for pattern in map(PurePosixPath, source.names):
        below = _place(source, pattern)
        paths = [path for path in sorted(folder.glob(str(below))) if path.is_file()]
        paths = paths or [path for path in sorted(folder.glob(str(pattern))) if path.is_file()]
        if not paths:
            either = f"{below}" if below == pattern else f"{below} or {pattern}"
            raise InputError(f"folder {str(folder)!r} holds no {either}, from {source.place}")
        found += [((pattern.parent / path.name).as_posix(), path) for path in paths]
    return found


def _found(source: Source, name: str, path: Path, commit: str | None) -> Found:
    from bakeoff.samplers.networks.known_files import hash_file

    place = _place(source, PurePosixPath(name)).as_posix()
    size_bytes = path.stat().st_size
    return FetchedFile(place, source.place, name, commit, size_bytes, hash_file(path)), path


def _place(source: Source, name: PurePosixPath) -> PurePosixPath:
    """Return the path in the model's folder of a path at its source."""
    return source.into / name.relative_to(source.within)


def _by_hand(entry: ModelEntry, source: Source) -> str:
    names = " and ".join(source.names)
    return (
        f"model {entry.name!r} is not on the Hugging Face hub: get {names} from {source.place} by "
        f"hand, then `bakeoff fetch {entry.name} --from FOLDER`"
    )


def _link(entry: ModelEntry, files: Sequence[Found]) -> list[FetchedFile]:
    """Make the folder of links with the note, whole or not at all."""
    passing = entry.folder.with_name(f"{entry.name}.unfinished-{uuid4().hex[:8]}")
    told = [file for file, _ in files]
    content = {"version": NOTE_VERSION, "files": [asdict(file) for file in told]}
    try:
        for file, path in files:
            link = passing / file.file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        (passing / NOTE).write_text(json.dumps(content, indent=2), encoding="utf-8")
        shutil.rmtree(entry.folder, ignore_errors=True)
        passing.rename(entry.folder)
    except OSError as error:
        raise InputError(
            f"models folder {entry.folder.parent} cannot be written ({error.strerror}): let "
            "XDG_CACHE_HOME name another"
        ) from error
    finally:
        shutil.rmtree(passing, ignore_errors=True)
    return told
