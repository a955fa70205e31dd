"""Recommendations as canonical JSON and back, every Decimal digit and UTC offset kept."""

from functools import cache

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from mahler_pipelines.decisions.recommendation import Recommendation
from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.storage.columns import to_json_text


def to_content(recommendation: Recommendation) -> str:
    """Return it as JSON; raise `BadInput` when a field is not of its declared type."""
    try:
        plain = _adapter().dump_python(recommendation, mode="json", warnings="error")
    except PydanticSerializationError as error:
        raise BadInput("recommendation", recommendation.id, str(error)) from error
    return to_json_text(plain)


def from_content(text: str) -> Recommendation:
    """Return the recommendation of a JSON text; raise `CorruptData` when it is none."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise CorruptData(f"a stored recommendation cannot be read: {error}") from error


@cache
def _adapter() -> TypeAdapter[Recommendation]:
    return TypeAdapter(Recommendation)
