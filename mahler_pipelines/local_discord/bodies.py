"""Bodies of requests: JSON, or a form whose `payload_json` is JSON and whose files are bytes."""

import json
import re
from email.message import Message as Headers
from typing import Any

from mahler_pipelines.local_discord.drafts import MOST_FILES, Upload
from mahler_pipelines.local_discord.refusals import Form, invalid_json

_FILE = re.compile(r"files\[(\d{1,2})\]")


def read_body(content_type: str, content: bytes) -> tuple[Any, dict[int, Upload]]:
    """Return a body's JSON and its files by number; raise 50109 or 50035.

    An empty body is an empty object.
    """
    kind, boundary = _kind(content_type)
    if kind == "multipart/form-data" and boundary:
        return _form(content, boundary.encode())
    return (_json(content) if content else {}), {}


def read_answer(content_type: str, content: bytes) -> tuple[dict[str, Any], dict[int, Upload]]:
    """Return a body that has to be an object."""
    body, uploads = read_body(content_type, content)
    form = Form()
    read = form.table(body, ())
    form.require()
    return read, uploads


def _kind(content_type: str) -> tuple[str, str]:
    headers = Headers()
    headers["Content-Type"] = content_type
    return headers.get_content_type(), str(headers.get_boundary() or "")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise invalid_json() from None


def _form(content: bytes, boundary: bytes) -> tuple[Any, dict[int, Upload]]:
    body: Any = {}
    uploads: dict[int, Upload] = {}
    # The first part begins without a line's end before it.
    for part in (b"\r\n" + content).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        head, _, payload = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name, filename = _names(head)
        found = _FILE.fullmatch(name)
        if name == "payload_json":
            body = _json(payload)
        elif found is not None and filename is not None:
            uploads[int(found[1])] = Upload(filename, payload)
    if len(uploads) > MOST_FILES:
        form = Form()
        said = f"Must be {MOST_FILES} or fewer in length."
        form.wrong(("files",), "BASE_TYPE_MAX_LENGTH", said)
        form.require()
    return body, uploads


def _names(head: bytes) -> tuple[str, str | None]:
    headers = Headers()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition":
            headers["Content-Disposition"] = value.strip()
    filename = headers.get_filename()
    found = headers.get_param("name", "", "content-disposition")
    return str(found), filename
