"""Who and what is there: the application, its guild, two channels, roles and people."""

from dataclasses import dataclass, field
from typing import Any

APPLICATION_ID = "1100000000000000001"
GUILD_ID = "1100000000000000010"
CHANNEL_ID = "1100000000000000020"
CLOSED_CHANNEL_ID = "1100000000000000021"
TRADER_ROLE_ID = "1100000000000000201"
YOU_ID = "1100000000000000100"
STRANGER_ID = "1100000000000000101"
LOCAL_TOKEN = "local.bot.token"  # noqa: S105 opens this double and nothing else
TOKEN_VARIABLE = "LOCAL_DISCORD_TOKEN"  # noqa: S105 a variable's name

_PERMISSIONS = str((1 << 50) - 1)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can click: a user with roles in the guild."""

    id: str
    name: str
    roles: tuple[str, ...] = ()

    def as_user(self) -> dict[str, Any]:
        """Return Discord's user object."""
        return _user(self.id, self.name, self.name.capitalize())

    def as_member(self) -> dict[str, Any]:
        """Return Discord's member object, as an interaction carries it."""
        return {
            "user": self.as_user(),
            "roles": list(self.roles),
            "permissions": _PERMISSIONS,
            "nick": None,
            "avatar": None,
            "banner": None,
            "joined_at": "2026-01-01T00:00:00+00:00",
            "premium_since": None,
            "communication_disabled_until": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }


YOU = Person(YOU_ID, "you", (TRADER_ROLE_ID,))
STRANGER = Person(STRANGER_ID, "stranger")


@dataclass(slots=True)
class Place:
    """The one guild, with its channels, roles and people. `closed` are channels without access."""

    application_id: str = APPLICATION_ID
    guild_id: str = GUILD_ID
    channels: dict[str, str] = field(
        default_factory=lambda: {CHANNEL_ID: "desk", CLOSED_CHANNEL_ID: "closed"}
    )
    closed: frozenset[str] = frozenset({CLOSED_CHANNEL_ID})
    roles: dict[str, str] = field(
        default_factory=lambda: {GUILD_ID: "@everyone", TRADER_ROLE_ID: "trader"}
    )
    people: dict[str, Person] = field(
        default_factory=lambda: {person.id: person for person in (YOU, STRANGER)}
    )

    def find(self, who: str) -> Person | None:
        """Return the person with this id or name."""
        named = [person for person in self.people.values() if person.name == who]
        return self.people.get(who) or (named[0] if named else None)

    def bot_user(self) -> dict[str, Any]:
        """Return the bot as a user; its id is the application's."""
        return _user(self.application_id, "mahler", None) | {"bot": True}

    def user(self, user_id: str) -> dict[str, Any]:
        """Return a user object by id: the bot, or a person of the guild."""
        if user_id == self.application_id:
            return self.bot_user()
        return self.people[user_id].as_user()

    def channel(self, channel_id: str) -> dict[str, Any]:
        """Return a text channel as REST and interactions show it."""
        return {
            "id": channel_id,
            "type": 0,
            "guild_id": self.guild_id,
            "name": self.channels[channel_id],
            "position": sorted(self.channels).index(channel_id),
            "flags": 0,
            "nsfw": False,
            "parent_id": None,
            "topic": None,
            "last_message_id": None,
            "rate_limit_per_user": 0,
            "permission_overwrites": [],
        }

    def role_list(self) -> list[dict[str, Any]]:
        """Return the guild's roles; the first is everybody's and has the guild's id."""
        return [
            {
                "id": role_id,
                "name": name,
                "permissions": _PERMISSIONS,
                "position": position,
                "color": 0,
                "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
                "hoist": False,
                "managed": False,
                "mentionable": False,
                "icon": None,
                "unicode_emoji": None,
                "flags": 0,
            }
            for position, (role_id, name) in enumerate(self.roles.items())
        ]

    def guild(self) -> dict[str, Any]:
        """Return the guild as the gateway tells it: with its channels, roles and the bot."""
        bot = Person(self.application_id, "mahler").as_member() | {"user": self.bot_user()}
        channels = [self.channel(one) for one in self.channels if one not in self.closed]
        return {
            "id": self.guild_id,
            "name": "Local desk",
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "description": None,
            "banner": None,
            "owner_id": next(iter(self.people)),
            "features": [],
            "emojis": [],
            "stickers": [],
            "roles": self.role_list(),
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "afk_channel_id": None,
            "afk_timeout": 300,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "public_updates_channel_id": None,
            "preferred_locale": "en-US",
            "premium_tier": 0,
            "premium_progress_bar_enabled": False,
            "nsfw_level": 0,
            "vanity_url_code": None,
            "member_count": len(self.people) + 1,
            "large": False,
            "unavailable": False,
            "joined_at": "2026-01-01T00:00:00+00:00",
            "members": [bot],
            "channels": channels,
            "threads": [],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
        }


def _user(user_id: str, name: str, shown: str | None) -> dict[str, Any]:
    return {
        "id": user_id,
        "username": name,
        "global_name": shown,
        "avatar": None,
        "discriminator": "0",
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }
