"""What a request wants a message to be: read from its body, and held to Discord's limits."""

import re
from dataclasses import dataclass
from typing import Any

from mahler_pipelines.local_discord.components import read_components
from mahler_pipelines.local_discord.embeds import read_embeds
from mahler_pipelines.local_discord.refusals import Form, Path

SUPPRESS_EMBEDS, EPHEMERAL, LOADING, SILENT, SECOND_VERSION = 4, 64, 128, 4096, 32768
MOST_CONTENT = 2000
MOST_FILES = 10
MOST_FILE_BYTES = 10 * 1024 * 1024
_MENTION_KINDS = ("roles", "users", "everyone")


@dataclass(frozen=True, slots=True)
class Mentions:
    """Who a text may ping: of whole kinds, or by id."""

    kinds: frozenset[str] = frozenset(_MENTION_KINDS)
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def users_pinged(self, content: str) -> list[str]:
        """Return the users that a content mentions and may ping, each once."""
        named = dict.fromkeys(re.findall(r"<@!?(\d+)>", content))
        return [one for one in named if "users" in self.kinds or one in self.users]

    def roles_pinged(self, content: str) -> list[str]:
        """Return the roles that a content mentions and may ping, each once."""
        named = dict.fromkeys(re.findall(r"<@&(\d+)>", content))
        return [one for one in named if "roles" in self.kinds or one in self.roles]

    def everyone_pinged(self, content: str) -> bool:
        """Whether a content pings everybody."""
        return "everyone" in self.kinds and bool(re.search(r"@(everyone|here)\b", content))


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came."""

    filename: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a message that a request speaks of; None leaves a part as it is."""

    content: str | None
    embeds: list[dict[str, Any]] | None
    components: list[dict[str, Any]] | None
    attachments: list[dict[str, Any]] | None
    flags: int | None
    mentions: Mentions
    tts: bool = False
    nonce: str | int | None = None
    enforce_nonce: bool = False


def read_draft(
    body: dict[str, Any],
    uploads: dict[int, Upload],
    *,
    second_version: bool = False,
    path: Path = (),
) -> Draft:
    """Read a message's body; raise `Refused` 50035 with everything that is wrong.

    `second_version` says that the message has the second version's components already; `path` is
    where the body stands in the request.
    """
    form = Form()
    flags = form.number(body.get("flags"), (*path, "flags"), least=0, most=(1 << 31) - 1)
    if second_version and flags is not None and not flags & SECOND_VERSION:
        said = "The IS_COMPONENTS_V2 flag cannot be removed"
        form.wrong((*path, "flags"), "MESSAGE_FLAGS_COMPONENTS_V2_IMMUTABLE", said)
    second_version = second_version or bool((flags or 0) & SECOND_VERSION)
    if second_version:
        _refuse_old_parts(form, body, path)
    draft = Draft(
        content=_said(body, "content", _content(form, body, path) or ""),
        embeds=_said(body, "embeds", read_embeds(form, body.get("embeds"), (*path, "embeds"))),
        components=_said(
            body,
            "components",
            read_components(
                form,
                body.get("components"),
                (*path, "components"),
                second_version=second_version,
            ),
        ),
        attachments=_said(body, "attachments", _attachments(form, body, uploads, path)),
        flags=flags,
        mentions=_mentions(form, body.get("allowed_mentions"), (*path, "allowed_mentions")),
        tts=bool(body.get("tts")),
        nonce=_nonce(form, body.get("nonce"), (*path, "nonce")),
        enforce_nonce=bool(body.get("enforce_nonce")),
    )
    form.require()
    return draft


def _said(body: dict[str, Any], name: str, value: Any) -> Any:
    return value if name in body else None


def _content(form: Form, body: dict[str, Any], path: Path) -> str | None:
    text = form.text(body.get("content"), (*path, "content"), most=MOST_CONTENT)
    return None if text is None else text.strip()


def _refuse_old_parts(form: Form, body: dict[str, Any], path: Path) -> None:
    for name in ("content", "embeds", "poll", "sticker_ids"):
        if body.get(name):
            said = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
            form.wrong((*path, name), code, said)


def _nonce(form: Form, value: object, path: Path) -> str | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return form.text(value, path, most=25)


def _attachments(
    form: Form, body: dict[str, Any], uploads: dict[int, Upload], path: Path
) -> list[dict[str, Any]]:
    here = (*path, "attachments")
    read = []
    for place, one in enumerate(form.items(body.get("attachments"), here, most=MOST_FILES)):
        raw = form.table(one, (*here, place))
        identifier = str(raw.get("id", ""))
        if not identifier.isdigit():
            form.wrong((*here, place, "id"), "BASE_TYPE_REQUIRED", "This field is required")
        # A small id counts the files of this request; a large one is an attachment that stays.
        elif int(identifier) < MOST_FILES and int(identifier) not in uploads:
            said = "Uploaded file not found."
            form.wrong((*here, place, "uploaded_filename"), "MESSAGE_ATTACHMENT_NOT_FOUND", said)
        form.text(raw.get("description"), (*here, place, "description"), most=1024)
        read.append(raw | {"id": identifier})
    return read


def _mentions(form: Form, value: object, path: Path) -> Mentions:
    if value is None:
        return Mentions()
    raw = form.table(value, path)
    kinds = form.items(raw.get("parse"), (*path, "parse"), most=3)
    for place, kind in enumerate(kinds):
        if kind not in _MENTION_KINDS:
            said = "Value must be one of {'roles', 'users', 'everyone'}."
            form.wrong((*path, "parse", place), "BASE_TYPE_CHOICES", said)
    named = {}
    for name in ("users", "roles"):
        named[name] = frozenset(
            map(str, form.items(raw.get(name), (*path, name), most=100)),
        )
        if named[name] and name in kinds:
            said = f'parse:["{name}"] and {name}: [ids...] are mutually exclusive.'
            form.wrong(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", said)
    return Mentions(frozenset(map(str, kinds)), named["users"], named["roles"])
