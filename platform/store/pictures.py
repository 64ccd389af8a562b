"""Pictures as bytes: PNG for people and datasets, a hash of the raw pixels for comparison."""

from base64 import b64encode
from hashlib import sha256
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return the PNG file of a picture [H, W, 3]."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def decode_png(content: bytes) -> NDArray[np.uint8]:
    """Return the pixels [H, W, 3] of a PNG file."""
    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


def readable_picture(content: bytes | None) -> Image.Image | None:
    """Return the picture of a PNG file from anywhere, or None if it is not one that can be read.

    PNG alone: Pillow's other formats reach as far as an interpreter for PostScript.
    """
    if content is None:
        return None
    try:
        return Image.fromarray(decode_png(content))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def data_uri(content: bytes | None, edge: int) -> str | None:
    """Return a stored picture as a data URI for a web page; None if it cannot be read.

    One of at most `edge` pixels a side stays as it is, pixel by pixel; a larger one is reduced to
    that, and a JPEG.
    """
    picture = readable_picture(content)
    if picture is None:
        return None
    file = BytesIO()
    if max(picture.size) <= edge:
        picture.save(file, format="PNG")
        return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
    picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    picture.save(file, format="JPEG", quality=90)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256, in hex, of the raw pixels [H, W, 3]."""
    return sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
