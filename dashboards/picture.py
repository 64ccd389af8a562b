"""A stored picture as markup, for whatever page shows one."""

from bakeoff.platform.store.pictures import data_uri

EDGE = 512  # pixels a side sent to the browser


def image(png: bytes | None) -> str:
    """Return a picture as markup, or why there is none."""
    if png is None:
        return "<em>no picture</em>"
    uri = data_uri(png, EDGE)
    if uri is None:
        return "<em>unreadable picture</em>"
    reduced = " class='reduced'" if uri.startswith("data:image/jpeg") else ""
    return f"<img{reduced} alt='' src='{uri}'>"
