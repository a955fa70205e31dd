"""A message as it is kept, and as an answer shows it."""

import copy
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from urllib.parse import quote

from mahler_pipelines.local_discord.components import walk
from mahler_pipelines.local_discord.drafts import EPHEMERAL, SECOND_VERSION
from mahler_pipelines.local_discord.embeds import pictures
from mahler_pipelines.local_discord.people import Place

_ATTACHED = "attachment://"


@dataclass(slots=True)
class Attachment:
    """A file of a message; its content is a file of the state folder, named by the id."""

    id: str
    filename: str
    size: int
    content_type: str
    description: str | None = None
    width: int | None = None
    height: int | None = None

    def url(self, base: str, channel_id: str) -> str:
        """Where the file is served: at the local Discord itself."""
        return f"{base}/attachments/{channel_id}/{self.id}/{quote(self.filename)}"


@dataclass(slots=True)
class Message:
    """A message of the bot's. `seen_by` is the one person who sees an ephemeral one."""

    id: str
    channel_id: str
    timestamp: str
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    flags: int = 0
    tts: bool = False
    nonce: str | int | None = None
    edited: str | None = None
    mentions: list[str] = field(default_factory=list)
    mention_roles: list[str] = field(default_factory=list)
    mention_everyone: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    interaction: dict[str, Any] | None = None
    seen_by: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """Return the message that was kept."""
        attachments = [Attachment(**one) for one in kept.pop("attachments")]
        return cls(**kept, attachments=attachments)

    @property
    def second_version(self) -> bool:
        """Whether its components are the second version's."""
        return bool(self.flags & SECOND_VERSION)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could be shown."""
        if self.second_version:
            return not self.components
        return not (self.content or self.embeds or self.attachments)

    def view(self, place: Place, base: str) -> dict[str, Any]:
        """Return Discord's message object; `base` is where the local Discord answers."""
        embeds, shown_in_embeds = self._resolved_embeds(base)
        components, shown_in_components = self._resolved_components(base)
        rest = [
            one
            for one in self.attachments
            if one.filename not in shown_in_embeds | shown_in_components
        ]
        seen: dict[str, Any] = {
            "id": self.id,
            "type": 0,
            "channel_id": self.channel_id,
            "author": place.bot_user(),
            "content": self.content,
            "timestamp": self.timestamp,
            "edited_timestamp": self.edited,
            "tts": self.tts,
            "mention_everyone": self.mention_everyone,
            "mentions": [place.user(one) for one in self.mentions],
            "mention_roles": self.mention_roles,
            "attachments": [self._attachment(one, base) for one in rest],
            "embeds": embeds,
            "components": components,
            "flags": self.flags,
            "pinned": False,
        }
        if self.nonce is not None:
            seen["nonce"] = self.nonce
        if self.reactions:
            seen["reactions"] = [
                _reaction(emoji, users, place) for emoji, users in self.reactions.items()
            ]
        if self.interaction is not None:
            user = place.user(self.interaction["user"])
            seen["interaction_metadata"] = self.interaction | {"user": user}
            seen["webhook_id"] = seen["application_id"] = place.application_id
            seen["type"] = 20 if self.interaction["type"] == 2 else 0
        return seen

    def _attachment(self, one: Attachment, base: str) -> dict[str, Any]:
        url = one.url(base, self.channel_id)
        shown: dict[str, Any] = {
            "id": one.id,
            "filename": one.filename,
            "size": one.size,
            "url": url,
            "proxy_url": url,
            "content_type": one.content_type,
        }
        named = {"description": one.description, "width": one.width, "height": one.height}
        shown |= {name: part for name, part in named.items() if part is not None}
        return shown | ({"ephemeral": True} if self.flags & EPHEMERAL else {})

    def _resolved_embeds(self, base: str) -> tuple[list[dict[str, Any]], set[str]]:
        """Embeds whose `attachment://` pictures have their address, and the names of those files.

        A picture of a file that is not there is left out, as Discord does.
        """
        named = {one.filename: one for one in self.attachments}
        shown: set[str] = set()
        resolved = []
        for embed in self.embeds:
            whole = copy.deepcopy(embed)
            for picture in pictures(whole):
                shown |= _resolve(picture, named, base, self.channel_id)
            kept = {
                name: part
                for name, part in whole.items()
                if not (name in ("image", "thumbnail") and part["url"].startswith(_ATTACHED))
            }
            resolved.append(kept)
        return resolved, shown

    def _resolved_components(self, base: str) -> tuple[list[dict[str, Any]], set[str]]:
        named = {one.filename: one for one in self.attachments}
        components = copy.deepcopy(self.components)
        shown: set[str] = set()
        for one in walk(components):
            media = [one["media"]] if "media" in one else []
            media += [item["media"] for item in one.get("items", [])]
            for picture in media:
                shown |= _resolve(picture, named, base, self.channel_id)
                picture["proxy_url"] = picture["url"]
        return components, shown


def _resolve(
    picture: dict[str, Any], named: dict[str, Attachment], base: str, channel_id: str
) -> set[str]:
    """Give a picture of an attached file its address; return the file's name."""
    wanted = picture["url"].removeprefix(_ATTACHED)
    if not picture["url"].startswith(_ATTACHED) or wanted not in named:
        return set()
    one = named[wanted]
    picture["url"] = one.url(base, channel_id)
    picture["content_type"] = one.content_type
    if one.width is not None and one.height is not None:
        picture |= {"width": one.width, "height": one.height}
    return {wanted}


def _reaction(emoji: str, users: list[str], place: Place) -> dict[str, Any]:
    name, _, identifier = emoji.partition(":")
    return {
        "emoji": {"id": identifier or None, "name": name},
        "count": len(users),
        "count_details": {"burst": 0, "normal": len(users)},
        "burst_colors": [],
        "me_burst": False,
        "me": place.application_id in users,
    }
