"""The user's cache: what Bakeoff keeps beside studies and stores, and can make again."""

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """Return the folder of Bakeoff's cache, or one below it; XDG_CACHE_HOME names another."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "bakeoff", *parts)
