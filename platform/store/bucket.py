"""Files of a bucket, on S3 or Google Cloud Storage, used as paths are.

An object store has no folders, no rename and no half-written file: what is put is there as a whole,
under its final key. Whatever the libraries below raise, callers see `OSError`. Listings and parts
are read persistently, since of many thousand requests some fail; who writes decides for himself.
"""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import fsspec

from bakeoff.platform.store.persistence import persistently
from bakeoff.samplers.errors import InputError

REQUESTS = 32  # at once
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"max_pool_connections": REQUESTS}},
    "gs": {},
}


class StorageError(OSError, InputError):
    """An object store that does not do what it is asked: closed, not there, or failing."""

    def __str__(self) -> str:
        return f"{self.filename}: storage failed ({self.strerror})"


class Listed(NamedTuple):
    """A file as a listing tells of it; `change` is another text once it is written anew."""

    key: str
    size_bytes: int
    change: str


@dataclass(frozen=True, order=True)
class Remote:
    """A file or folder of a bucket, or the place of one; `key` is BUCKET/FOLDER/FILE."""

    scheme: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, name: str) -> "Remote":
        return Remote(self.scheme, f"{self.key}/{name}")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Remote":
        """The folder that it lies in."""
        return Remote(self.scheme, self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "Remote":
        """Return the place of another file in the same folder."""
        return self.parent / name

    def resolve(self) -> "Remote":
        """Return itself: it is the same from everywhere."""
        return self

    def exists(self) -> bool:
        """Return whether a file, or one below it, is there."""
        with self._request() as storage:
            return bool(storage.exists(self.key))

    def is_file(self) -> bool:
        """Return whether it is a file."""
        with self._request() as storage:
            return bool(storage.isfile(self.key))

    def is_dir(self) -> bool:
        """Return whether files lie below it."""
        with self._request() as storage:
            return bool(storage.isdir(self.key))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there as long as a file is in it."""

    def files(self) -> list[Listed]:
        """Return the files below it, in the order of keys, by one listing; often there are none.

        Raises:
            StorageError: the bucket is not there, or cannot be read.
        """
        return [
            Listed(key, int(info["size"]), str(info.get("LastModified") or info.get("updated")))
            for key, info in sorted(persistently(self._find).items())
            if info["type"] == "file" and key.startswith(f"{self.key}/") and key[-1] != "/"
        ]

    def _find(self) -> dict[str, dict[str, Any]]:
        try:
            with self._request() as storage:
                return dict(storage.find(self.key, detail=True))
        except FileNotFoundError as error:  # what is in no folder is only not listed
            raise StorageError(errno.ENOENT, "no such bucket", str(self)) from error

    def iterdir(self) -> Iterator["Remote"]:
        """Yield the files and folders in it."""
        with self._request() as storage:
            found = storage.ls(self.key, detail=False)
        return (Remote(self.scheme, key) for key in found)

    def read_bytes(self) -> bytes:
        """Return what is in it."""
        with self._request() as storage:
            return bytes(storage.cat_file(self.key))

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return what is in it, as text."""
        return self.read_bytes().decode(encoding)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Put a text there, all at once."""
        self.write_bytes(text.encode(encoding))

    def write_bytes(self, content: bytes) -> None:
        """Put bytes there, all at once."""
        with self._request() as storage:
            storage.pipe_file(self.key, content)

    def copy(self, target: "Remote") -> None:
        """Put what is in it at another place, too, within the object store."""
        with self._request() as storage:
            storage.cp_file(self.key, target.key)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove it.

        Raises:
            FileNotFoundError: it is not there, unless that is well.
        """
        if not missing_ok and not self.is_file():  # an object store removes what is not there
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        with self._request() as storage:
            storage.rm_file(self.key)  # not `rm`, to which a `*` in a name means many files

    def open(self, mode: str = "rb") -> "Reader":
        """Return it as a file to read bytes from; each read is a request for these bytes."""
        assert mode == "rb"
        return persistently(self._open)

    def _open(self) -> "Reader":
        with self._request() as storage:
            # without the cache of fsspec, which reads ahead: of pictures that nobody asked for
            return Reader(self, storage.open(self.key, "rb", cache_type="none"))

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """Give the filesystem, and turn what it raises into errors of storage.

        Its libraries translate most of their own errors and let others through: of connections, of
        credentials, of time.
        """
        try:
            yield filesystem(self.scheme, os.getpid())
        except FileNotFoundError as error:
            reason = os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, reason, str(self)) from error
        except Exception as error:
            number = errno.EACCES if isinstance(error, PermissionError) else errno.EIO
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StorageError(number, reason, str(self)) from error


class Reader(io.RawIOBase):
    """A file of a bucket, open for reading; `size` is in bytes."""

    def __init__(self, place: Remote, file: Any) -> None:
        self._place, self._file = place, file
        self.size = int(file.size)
        self.modified: datetime = file.details.get("LastModified") or file.details["mtime"]

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it is read at any place."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and return it."""
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return how many bytes there were."""
        content = persistently(lambda: self._read(len(buffer)))
        buffer[: len(content)] = content
        return len(content)

    def _read(self, size_bytes: int) -> bytes:
        with self._place._request():
            return bytes(self._file.read(size_bytes))


@cache
def filesystem(scheme: str, process: int) -> Any:
    """Return the filesystem of a scheme for this process: connections do not survive a fork.

    One for all threads, which fsspec would give one each, every time with connections of its own.
    Listings are asked anew each time, since other machines write.
    """
    options = {"use_listings_cache": False, "skip_instance_cache": True, **OPTIONS[scheme]}
    return fsspec.filesystem(scheme, **options)
