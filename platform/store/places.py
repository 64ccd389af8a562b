"""Places where a store may lie, a folder or a bucket, and what differs between the two.

A folder commits by rename, a bucket by a single put of the final key; a folder is read as it is, a
bucket by several requests at once.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from bakeoff.platform.store.bucket import REQUESTS, Remote
from bakeoff.samplers.errors import InputError, cut

UNFINISHED = ".unfinished-"  # in the name of a file that is still being written
LISTINGS = 10  # of a folder from which files vanish meanwhile
LIBRARIES = {"s3": "s3fs", "gs": "gcsfs"}  # behind each scheme
EXTRAS = {"s3": "s3", "gs": "gcs"}  # of this package, with these libraries
URL = re.compile(r"([a-z0-9]+)://([\w.-]+)((?:/[^/]+)*)/*")
SPECIAL = re.compile(r"[*?\[\]\\#%:\x00-\x1f\x7f]")  # what libraries read as more than a name

Place = Path | Remote
Result = TypeVar("Result")


class File(NamedTuple):
    """A file as a listing tells of it; `change` is another text once it is written anew."""

    place: Place
    size_bytes: int
    change: str


def place(where: str | Place) -> Place:
    """Return the place that a user names: a folder, or a URL of a bucket.

    Raises:
        InputError: the URL is none of a bucket, or its library is not installed.
    """
    if not isinstance(where, str):
        return where
    if "://" not in where:
        return Path(where)
    check_url(where)
    scheme, _, key = where.partition("://")
    if find_spec(LIBRARIES[scheme]) is None:
        raise InputError(
            f"store {cut(where)!r} needs {LIBRARIES[scheme]}, which is not installed: "
            f"pip install 'bakeoff[{EXTRAS[scheme]}]'"
        )
    return Remote(scheme, key.rstrip("/"))


def check_url(url: str) -> None:
    """Check that a URL names a bucket and, if it likes, a folder in it.

    Raises:
        InputError: it does not.
    """
    found = URL.fullmatch(url)
    folders = found[3].split("/") if found else []
    if not found or found[1] not in LIBRARIES or SPECIAL.search(found[3]) or ".." in folders:
        raise InputError(
            f"store {cut(url)!r} must be a folder, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
        )


def is_plain(name: str) -> bool:
    """Return whether a name means itself to every library, and no pattern of many files."""
    return SPECIAL.search(name) is None


def below(file: Place, folder: Place) -> str:
    """Return the way from a folder to a file in it, as text."""
    return str(PurePosixPath(str(file)).relative_to(str(folder)))


def files(folder: Place) -> list[File]:
    """Return the files below a folder by one listing, in the order of names.

    Where one vanishes meanwhile the folder is listed again: a joined part that this listing came
    too early for may have taken its place.

    Raises:
        InputError: files vanish from every listing.
    """
    if isinstance(folder, Remote):
        return [
            File(Remote(folder.scheme, one.key), one.size_bytes, one.change)
            for one in folder.files()
        ]
    for _ in range(LISTINGS):
        with suppress(FileNotFoundError):
            return sorted(_listed(folder), key=lambda one: str(one.place))
    raise changed(folder)


def _listed(folder: Path) -> Iterator[File]:
    """Yield the files below a folder, in no order.

    Raises:
        FileNotFoundError: one has vanished since it was found.
    """
    for file in folder.rglob("*"):
        try:
            facts = file.stat()
        except OSError as error:  # vanished, or a link to nowhere, or closed to us
            has_vanished = isinstance(error, FileNotFoundError) and not file.is_symlink()
            if has_vanished and UNFINISHED not in file.name:
                raise
            continue
        if S_ISREG(facts.st_mode):
            yield File(file, facts.st_size, str(facts.st_mtime_ns))


def changed(where: Place) -> InputError:
    """Return the error for a file or folder that another process took away from a reader."""
    return InputError(f"store {where} was changed while it was read: ask again")


def commit(target: Place, write: Callable[[Path], object]) -> None:
    """Write a file so that readers see all of it or nothing.

    In a folder it is written under a passing name and renamed; for a bucket on this machine first,
    since nothing there can be renamed.
    """
    if isinstance(target, Remote):
        with TemporaryDirectory(prefix="bakeoff-") as folder:
            file = Path(folder) / target.name
            write(file)
            content = file.read_bytes()
        target.write_bytes(content)  # which takes its time, and who is killed in it leaves no file
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = target.with_name(f"{target.name}{UNFINISHED}{uuid4().hex[:8]}")
    try:
        write(passing)
        passing.replace(target)
    finally:
        passing.unlink(missing_ok=True)


def move(file: Place, target: Place) -> None:
    """Give a file another name in the same store; killed between, a bucket holds both."""
    if isinstance(file, Remote):
        assert isinstance(target, Remote)
        file.copy(target)
        file.unlink(missing_ok=True)
    else:
        assert isinstance(target, Path)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


@contextmanager
def opened(file: Place) -> Iterator[Any]:
    """Give what Arrow reads a file from: a path here, an open file in a bucket."""
    if isinstance(file, Remote):
        with file.open() as content:
            yield content
    else:
        yield file


def each(work: Callable[[Place], Result], of: Sequence[Place]) -> Iterator[Result]:
    """Yield what the work makes of each place, in order; in a bucket, of many at once."""
    if not any(isinstance(one, Remote) for one in of):
        yield from map(work, of)
        return
    ahead: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(REQUESTS) as pool:
        for one in of:
            ahead.append(pool.submit(work, one))
            if len(ahead) >= REQUESTS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
