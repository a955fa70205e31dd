"""What a file is, by its first bytes: nothing is shown as a picture because of its name."""

import struct

_BINARY = "application/octet-stream"
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def content_type_of(content: bytes) -> str:
    """Return the type of a PNG, JPEG, GIF or WebP; anything else is bytes."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    found = [kind for start, kind in _STARTS.items() if content.startswith(start)]
    return found[0] if found else _BINARY


def size_of(content: bytes) -> tuple[int | None, int | None]:
    """Return width and height of a PNG in pixels, nothing for other files."""
    if content_type_of(content) != "image/png" or len(content) < 24:
        return None, None
    width, height = struct.unpack(">II", content[16:24])
    return width, height
