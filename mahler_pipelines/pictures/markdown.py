"""Pictures in markdown, small enough for metadata."""

import base64
import io

from mahler_pipelines.errors import BadInput

NOTHING = "nothing to draw"
"""What stands where a picture would, when there is nothing on it."""

LARGEST_BYTES = 150 * 1024
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = (128, 32, 8)


def embed_png(png: bytes, alt: str) -> str:
    """Return a markdown image with the picture inside it, at most 150 KB of text in all.

    A larger picture loses colours first, then half its size. Raises `BadInput` when the bytes are
    no PNG or are too large even then, or when the alternative text would break the markdown.
    """
    if not png.startswith(_SIGNATURE):
        raise BadInput("png", png[:8], "not a PNG")
    if any(mark in alt for mark in "[]\n"):
        raise BadInput("alt", alt, "brackets and line breaks would end the image")
    for candidate in _smaller(png):
        text = f"![{alt}](data:image/png;base64,{base64.b64encode(candidate).decode()})"
        if len(text.encode()) <= LARGEST_BYTES:
            return text
    raise BadInput("png", len(png), f"larger than {LARGEST_BYTES} bytes at the lowest quality")


def _smaller(png: bytes) -> list[bytes]:
    """The picture itself and, only if it is too large, versions of less quality."""
    if len(png) * 4 // 3 < LARGEST_BYTES - 1024:
        return [png]
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        flat = picture.convert("RGB")
    half = flat.resize((max(flat.width // 2, 1), max(flat.height // 2, 1)))
    versions = [png]
    for image in (flat, half):
        for colours in _COLOURS:
            buffer = io.BytesIO()
            image.quantize(colours).save(buffer, format="PNG", optimize=True)
            versions.append(buffer.getvalue())
    return versions
