"""The Hugging Face hub: which files a repository has, and getting one whole.

huggingface_hub downloads and compares sizes; hashes are compared here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from bakeoff.samplers.errors import InputError, cut
from bakeoff.samplers.model_entry import Source
from bakeoff.samplers.networks.known_files import hash_file


@dataclass(frozen=True)
class HubFile:
    """A file of a repository at a commit, and what the hub says of it.

    `hashed` is its sha256, or git's hash of a file that is small enough to lie in git itself.
    """

    repository: str
    commit: str
    name: str
    size_bytes: int
    hashed: str


def list_files(source: Source) -> list[HubFile]:
    """Return the files that a source asks for, by its revision or else the newest.

    Raises:
        InputError: the hub cannot be reached, or has not what is asked for.
    """
    from huggingface_hub import HfApi

    with _told(source.place, source.revision):
        info = HfApi().model_info(source.place, revision=source.revision, files_metadata=True)
    there = {file.rfilename: file for file in info.siblings or []}
    found = []
    for pattern in source.names:
        names = [name for name in sorted(there) if _matches(name, pattern)]
        if not names:
            raise InputError(f"repository {source.place} at {info.sha} has no file {pattern!r}")
        found += names
    files = [there[name] for name in dict.fromkeys(found)]
    return [
        HubFile(
            source.place,
            str(info.sha),
            file.rfilename,
            file.size or 0,
            file.lfs.sha256 if file.lfs else str(file.blob_id),
        )
        for file in files
    ]


def _matches(name: str, pattern: str) -> bool:
    """Whether a path is one that a pattern means: `*` is no folder."""
    (folder, file), (wanted, kind) = (str(path).rpartition("/")[::2] for path in (name, pattern))
    return folder == wanted and fnmatchcase(file, kind)


def download(file: HubFile) -> Path:
    """Return where a file lies in the hub's cache, once it is there with the hub's hash.

    Finished files are not loaded again; a broken connection is taken up where it broke.

    Raises:
        InputError: the hub cannot be reached, the disk is full, or the content is another.
    """
    from huggingface_hub import HfApi

    with _told(file.repository, file.commit):
        path = Path(HfApi().hf_hub_download(file.repository, file.name, revision=file.commit))
    found = hash_file(path) if len(file.hashed) == 64 else _git_hash(path)
    if found != file.hashed:
        path.resolve().unlink()  # else the cache would give it again
        path.unlink(missing_ok=True)
        raise InputError(
            f"{file.name} of {file.repository} came with hash {found[:12]}, but the hub says "
            f"{file.hashed[:12]}: it is deleted; fetch it again"
        )
    return path


def _git_hash(path: Path) -> str:
    from huggingface_hub.utils.sha import git_hash

    return git_hash(path.read_bytes())


@contextmanager
def _told(repository: str, revision: str | None) -> Iterator[None]:
    """Tell what goes wrong with the hub in one sentence."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE is set, so nothing is downloaded: unset it"
    except errors.GatedRepoError:
        page = f"{constants.ENDPOINT}/{repository}"
        reason = f"{repository} is gated: accept its licence at {page}, then `hf auth login`"
    except errors.RepositoryNotFoundError:
        reason = f"repository {repository} is not on {constants.ENDPOINT}, or is private"
    except errors.RevisionNotFoundError:
        reason = f"repository {repository} has no revision {revision}"
    except errors.HfHubHTTPError as error:
        reason = f"{constants.ENDPOINT} refused {repository}: {_line(error)}"
    except errors.HTTPError as error:  # type: ignore[attr-defined] # of the library that it uses
        reason = (
            f"{constants.ENDPOINT} does not answer ({_line(error)}): is this machine offline? With "
            "the files in a folder, `bakeoff fetch MODEL --from FOLDER` takes them"
        )
    except OSError as error:
        reason = f"{repository} cannot be downloaded: {_line(error)}"
    else:
        return
    raise InputError(reason) from None


def _line(error: Exception) -> str:
    return cut(next(iter(str(error).splitlines()), "") or type(error).__name__)
