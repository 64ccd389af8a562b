"""Storage that fails for a moment is tried again; what no waiting mends is not."""

import errno
import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
# A full disk, or a place where nobody may or can write. Errors of object stores have no number.
LASTING = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
}  # fmt: skip
Result = TypeVar("Result")
_tries: ContextVar[bool] = ContextVar("tries", default=False)


def persistently(
    work: Callable[[], Result], pause: Callable[[float], object] = time.sleep
) -> Result:
    """Return what the work returns, tried again after longer and longer pauses while storage fails.

    Work that is persistent itself is not within this: only the outermost tries again.

    Raises:
        OSError: it still fails after a minute, or will fail whatever the pause.
    """
    if _tries.get():
        return work()
    token = _tries.set(True)
    try:
        return _persist(work, pause)
    finally:
        _tries.reset(token)


def _persist(work: Callable[[], Result], pause: Callable[[float], object]) -> Result:
    for wait in WAITS_SECONDS:
        try:
            return work()
        except OSError as error:
            if error.errno in LASTING:
                raise
        pause(wait * random.uniform(0.5, 1.5))  # workers that fail together come back apart
    return work()
