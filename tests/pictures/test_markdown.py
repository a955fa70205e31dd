"""Markdown: a picture that is too large loses quality, never silently its limit."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mahler_pipelines.errors import BadInput
from mahler_pipelines.pictures.markdown import LARGEST_BYTES, embed_png


def noise(width: int, height: int) -> bytes:
    """A picture that does not compress."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def decoded(text: str) -> bytes:
    return base64.b64decode(text.split("base64,")[1].removesuffix(")"))


def test_small_picture_is_embedded_as_it_is() -> None:
    png = noise(60, 40)
    text = embed_png(png, "noise")
    assert text.startswith("![noise](data:image/png;base64,")
    assert decoded(text) == png


@pytest.mark.parametrize("size", [(300, 200), (640, 360)])
def test_large_picture_loses_quality_until_it_fits(size: tuple[int, int]) -> None:
    png = noise(*size)
    assert len(png) > LARGEST_BYTES
    text = embed_png(png, "noise")
    assert len(text.encode()) <= LARGEST_BYTES
    with Image.open(io.BytesIO(decoded(text))) as picture:
        assert picture.format == "PNG"


def test_picture_beyond_all_measure_is_refused() -> None:
    with pytest.raises(BadInput, match="lowest quality"):
        embed_png(noise(1400, 1000), "noise")


@pytest.mark.parametrize(("png", "alt"), [(b"GIF89a", "x"), (noise(4, 4), "a]b")])
def test_what_is_no_png_or_breaks_the_markdown_is_refused(png: bytes, alt: str) -> None:
    with pytest.raises(BadInput):
        embed_png(png, alt)
