"""Who may answer for the desk: the right application, guild, channel, and a person on a list."""

from dataclasses import dataclass
from enum import StrEnum

from mahler_pipelines.messaging.interaction import Interaction


class Stranger(StrEnum):
    """Why somebody's press does not count."""

    WRONG_APPLICATION = "wrong_application"
    WRONG_GUILD = "wrong_guild"
    WRONG_CHANNEL = "wrong_channel"
    NOT_ON_THE_LIST = "not_on_the_list"


@dataclass(frozen=True, slots=True)
class Authority:
    """Whose interactions count. An empty id asks nothing; without users and roles nobody may.

    Either list is enough: a named user, or anybody with a named role.
    """

    application_id: str
    guild_id: str
    channel_id: str
    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def stranger(self, interaction: Interaction) -> Stranger | None:
        """Why an interaction does not count; None when it does."""
        asked = (
            (self.application_id, interaction.application_id, Stranger.WRONG_APPLICATION),
            (self.guild_id, interaction.guild_id, Stranger.WRONG_GUILD),
            (self.channel_id, interaction.channel_id, Stranger.WRONG_CHANNEL),
        )
        for ours, theirs, why in asked:
            if ours and ours != theirs:
                return why
        named = interaction.user_id in self.users or self.roles.intersection(interaction.role_ids)
        return None if named else Stranger.NOT_ON_THE_LIST
