"""Channels and what is in them: create, edit, list and delete messages, react to them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mahler_pipelines.local_discord.drafts import (
    EPHEMERAL,
    LOADING,
    MOST_FILE_BYTES,
    SECOND_VERSION,
    SILENT,
    SUPPRESS_EMBEDS,
    Draft,
    Upload,
)
from mahler_pipelines.local_discord.messages import Attachment, Message
from mahler_pipelines.local_discord.people import Place
from mahler_pipelines.local_discord.pictures import content_type_of, size_of
from mahler_pipelines.local_discord.refusals import (
    Form,
    empty_message,
    missing_access,
    too_large,
    unknown_channel,
    unknown_emoji,
    unknown_message,
)
from mahler_pipelines.local_discord.snowflakes import Snowflakes
from mahler_pipelines.local_discord.store import Store

KIND = "message"
_SETTABLE = SUPPRESS_EMBEDS | SILENT | SECOND_VERSION


class Channels:
    """The messages of every channel. `tell` hears of each change by its gateway event."""

    def __init__(
        self,
        store: Store,
        place: Place,
        ids: Snowflakes,
        *,
        files: Path,
        seconds: Callable[[], float],
        nonce_seconds: float,
        tell: Callable[[str, Message], None],
    ) -> None:
        self._store = store
        self._place = place
        self._ids = ids
        self._files = files
        self._seconds = seconds
        self._nonce_seconds = nonce_seconds
        self._tell = tell
        self._nonces: dict[tuple[str, str], tuple[str, float]] = {}
        read = [Message.from_json(one) for one in store.all(KIND)]
        self._messages = {message.id: message for message in read}
        for message in read:
            ids.pass_over(message.id)

    def require(self, channel_id: str) -> str:
        """Return a channel that the bot sees; raise 10003 or 50001."""
        if channel_id not in self._place.channels:
            raise unknown_channel()
        if channel_id in self._place.closed:
            raise missing_access()
        return channel_id

    def find(self, message_id: str) -> Message | None:
        """Return any message, ephemeral ones too."""
        return self._messages.get(message_id)

    def get(self, channel_id: str, message_id: str) -> Message:
        """Return a message that everybody sees; raise 10008."""
        self.require(channel_id)
        message = self._messages.get(message_id)
        if message is None or message.channel_id != channel_id or message.seen_by is not None:
            raise unknown_message()
        return message

    def seen(self, channel_id: str, person: str | None = None) -> list[Message]:
        """Return what a person sees in a channel, oldest first; None is what everybody sees."""
        return [
            message
            for message in self._messages.values()
            if message.channel_id == channel_id and message.seen_by in (None, person)
        ]

    def page(
        self,
        channel_id: str,
        *,
        limit: int,
        before: str | None,
        after: str | None,
        around: str | None,
    ) -> list[Message]:
        """Return messages newest first, by one of Discord's three anchors."""
        messages = self.seen(self.require(channel_id))
        if around is not None:
            older = [one for one in messages if int(one.id) <= int(around)]
            newer = [one for one in messages if int(one.id) > int(around)]
            chosen = older[-(limit // 2 + 1) :] + newer[: (limit - 1) // 2]
        elif after is not None:
            chosen = [one for one in messages if int(one.id) > int(after)][:limit]
        else:
            chosen = [one for one in messages if before is None or int(one.id) < int(before)]
        return chosen[-limit:][::-1]

    def create(self, channel_id: str, draft: Draft, uploads: dict[int, Upload]) -> Message:
        """Send a message, or return the one that this nonce sent minutes ago."""
        key = (channel_id, str(draft.nonce))
        if draft.enforce_nonce and draft.nonce is not None:
            sent, moment = self._nonces.get(key, ("", 0.0))
            known = self._messages.get(sent)
            if known is not None and self._seconds() - moment < self._nonce_seconds:
                return known
        message = self.compose(channel_id, draft, uploads)
        message.nonce = draft.nonce
        self._nonces[key] = (message.id, self._seconds())
        return self.keep(message, "MESSAGE_CREATE")

    def compose(
        self, channel_id: str, draft: Draft, uploads: dict[int, Upload], *, flags: int = 0
    ) -> Message:
        """Return a new message that is not kept yet; `flags` are set beside those of the draft."""
        message = Message(self._ids.next(), channel_id, self.stamp(), tts=draft.tts, flags=flags)
        self._fill(message, draft, uploads)
        return message

    def edit(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> Message:
        """Change the parts that a draft speaks of."""
        changed = Message.from_json(message.as_json())
        changed.flags &= ~LOADING
        self._fill(changed, draft, uploads)
        changed.edited = self.stamp()
        return self.keep(changed, "MESSAGE_UPDATE")

    def keep(self, message: Message, event: str) -> Message:
        """Keep a message as it is now, and tell it."""
        self._messages[message.id] = message
        self._store.put(KIND, message.id, message.as_json())
        self._tell(event, message)
        return message

    def delete(self, message: Message) -> None:
        """Forget a message and its files."""
        del self._messages[message.id]
        self._store.drop(KIND, message.id)
        for one in message.attachments:
            (self._files / one.id).unlink(missing_ok=True)
        self._tell("MESSAGE_DELETE", message)

    def react(self, message: Message, emoji: str, user_id: str) -> bool:
        """Add a user's reaction; return whether it is new."""
        if not emoji.partition(":")[0] or (emoji.isascii() and ":" not in emoji):
            raise unknown_emoji()
        users = message.reactions.setdefault(emoji, [])
        if user_id in users:
            return False
        users.append(user_id)
        self.keep(message, "")
        return True

    def unreact(self, message: Message, emoji: str, user_id: str) -> bool:
        """Take a user's reaction back; return whether there was one."""
        users = message.reactions.get(emoji, [])
        if user_id not in users:
            return False
        users.remove(user_id)
        if not users:
            del message.reactions[emoji]
        self.keep(message, "")
        return True

    def unreact_all(self, message: Message, emoji: str | None = None) -> None:
        """Take back all reactions, or all of one emoji."""
        for name in [emoji] if emoji is not None else list(message.reactions):
            message.reactions.pop(name, None)
        self.keep(message, "")

    def file(self, channel_id: str, attachment_id: str) -> tuple[Attachment, bytes] | None:
        """Return an attachment and its content."""
        for message in self._messages.values():
            for one in message.attachments:
                if one.id == attachment_id and message.channel_id == channel_id:
                    return one, (self._files / one.id).read_bytes()
        return None

    def _fill(self, message: Message, draft: Draft, uploads: dict[int, Upload]) -> None:
        if draft.flags is not None:
            message.flags = (message.flags & ~SUPPRESS_EMBEDS) | (draft.flags & _SETTABLE)
        if draft.content is not None:
            message.content = draft.content
            mentioned = draft.mentions.users_pinged(draft.content)
            message.mentions = [one for one in mentioned if one in self._place.people]
            message.mention_roles = draft.mentions.roles_pinged(draft.content)
            message.mention_everyone = draft.mentions.everyone_pinged(draft.content)
        if draft.embeds is not None:
            message.embeds = draft.embeds
        if draft.components is not None:
            message.components = draft.components
        kept = message.attachments
        if draft.attachments is not None:
            wanted = {one["id"] for one in draft.attachments}
            kept = [one for one in kept if one.id in wanted]
        message.attachments = kept + self._attached(draft, uploads)
        if message.second_version and (message.content or message.embeds):
            form = Form()
            said = "Content and embeds must be removed when IS_COMPONENTS_V2 is set"
            code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
            form.wrong(("content",), code, said)
            form.require()
        if message.is_empty:
            raise empty_message()

    def _attached(self, draft: Draft, uploads: dict[int, Upload]) -> list[Attachment]:
        if any(len(upload.content) > MOST_FILE_BYTES for upload in uploads.values()):
            raise too_large()
        said = {one["id"]: one for one in draft.attachments or []}
        attached = []
        self._files.mkdir(parents=True, exist_ok=True)
        for number, upload in sorted(uploads.items()):
            raw = said.get(str(number), {})
            width, height = size_of(upload.content)
            one = Attachment(
                id=self._ids.next(),
                filename=_filename(raw.get("filename") or upload.filename),
                size=len(upload.content),
                content_type=content_type_of(upload.content),
                description=raw.get("description"),
                width=width,
                height=height,
            )
            (self._files / one.id).write_bytes(upload.content)
            attached.append(one)
        return attached

    def stamp(self) -> str:
        """Return the present as Discord writes it."""
        return datetime.fromtimestamp(self._seconds(), UTC).isoformat(timespec="microseconds")


def ephemeral(message: Message, person: str) -> Message:
    """Make a message one person's."""
    message.flags |= EPHEMERAL
    message.seen_by = person
    return message


def _filename(name: str) -> str:
    """Keep what Discord keeps of a file's name."""
    kept = "".join(one if one.isalnum() or one in "._-" else "_" for one in name)
    return kept.strip(".") or "unknown"
