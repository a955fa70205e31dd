"""Stored recommendations: what was written before a field was there is still read."""

import json
from dataclasses import replace

import pytest

from mahler_pipelines.errors import CorruptData
from mahler_pipelines.storage.content import from_content, to_content
from tests.execution.scenes import recommendation


def test_a_recommendation_of_before_there_was_a_second_opinion_is_read() -> None:
    shown = replace(recommendation(), second_opinion="would not trade")
    assert from_content(to_content(shown)) == shown
    older = json.loads(to_content(shown))
    del older["second_opinion"]
    read = from_content(json.dumps(older))
    assert read == replace(shown, second_opinion="")
    assert read.content_hash == shown.content_hash


def test_what_is_no_recommendation_is_corrupt() -> None:
    with pytest.raises(CorruptData):
        from_content("{}")
