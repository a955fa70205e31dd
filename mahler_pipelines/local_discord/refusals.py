"""Discord's refusals: a status, a code, a message, and for a body what is wrong where."""

from typing import Any

from mahler_pipelines.errors import MahlerError

Path = tuple[str | int, ...]


class Refused(MahlerError):
    """An answer that is an error of Discord's; nothing was done."""

    def __init__(
        self, status: int, code: int, message: str, errors: dict[str, Any] | None = None
    ) -> None:
        self.status = status
        self.body: dict[str, Any] = {"message": message, "code": code}
        if errors is not None:
            self.body["errors"] = errors
        super().__init__(f"{status} {code} {message}")


def unauthorized() -> Refused:
    """No token, or a wrong one."""
    return Refused(401, 0, "401: Unauthorized")


def no_route(status: int) -> Refused:
    """An address or a method that Discord does not have."""
    words = {404: "Not Found", 405: "Method Not Allowed"}
    return Refused(status, 0, f"{status}: {words.get(status, 'Error')}")


def unknown_channel() -> Refused:
    """A channel that is nowhere."""
    return Refused(404, 10003, "Unknown Channel")


def unknown_guild() -> Refused:
    """A guild that is not ours."""
    return Refused(404, 10004, "Unknown Guild")


def unknown_application() -> Refused:
    """An application that is not ours."""
    return Refused(404, 10002, "Unknown Application")


def unknown_message() -> Refused:
    """A message that is not there, or not for this door."""
    return Refused(404, 10008, "Unknown Message")


def unknown_user() -> Refused:
    """A user that is nowhere."""
    return Refused(404, 10013, "Unknown User")


def unknown_emoji() -> Refused:
    """A reaction that is no emoji."""
    return Refused(400, 10014, "Unknown Emoji")


def unknown_webhook() -> Refused:
    """An interaction's webhook, before the interaction was answered."""
    return Refused(404, 10015, "Unknown Webhook")


def unknown_interaction() -> Refused:
    """An interaction that never was, or whose time to be answered is over."""
    return Refused(404, 10062, "Unknown interaction")


def already_acknowledged() -> Refused:
    """A second first answer."""
    return Refused(400, 40060, "Interaction has already been acknowledged.")


def invalid_webhook_token() -> Refused:
    """A token that is wrong or over."""
    return Refused(401, 50027, "Invalid Webhook Token")


def missing_access() -> Refused:
    """A channel that the bot cannot see."""
    return Refused(403, 50001, "Missing Access")


def empty_message() -> Refused:
    """Nothing that could be shown."""
    return Refused(400, 50006, "Cannot send an empty message")


def invalid_json() -> Refused:
    """A body that is no JSON."""
    return Refused(400, 50109, "The request body contains invalid JSON.")


def too_large() -> Refused:
    """A file beyond the limit."""
    return Refused(413, 40005, "Request entity too large")


class Form:
    """Collects what is wrong with a body, by its place, and refuses the whole at the end."""

    def __init__(self) -> None:
        self._errors: dict[str, Any] = {}

    def wrong(self, path: Path, code: str, message: str) -> None:
        """Note an error at a place of the body."""
        at = self._errors
        for step in path:
            at = at.setdefault(str(step), {})
        at.setdefault("_errors", []).append({"code": code, "message": message})

    def require(self) -> None:
        """Raise 50035 with every error noted, if there is one."""
        if self._errors:
            raise Refused(400, 50035, "Invalid Form Body", _pruned(self._errors))

    def text(
        self,
        value: object,
        path: Path,
        *,
        most: int,
        least: int = 0,
        required: bool = False,
    ) -> str | None:
        """Read a text of bounded length; None where it is left out."""
        if value is None or (required and value == ""):
            if required:
                self.wrong(path, "BASE_TYPE_REQUIRED", "This field is required")
            return None
        if not isinstance(value, str):
            self.wrong(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
            return None
        if not least <= len(value) <= most:
            if least:
                said = f"Must be between {least} and {most} in length."
                self.wrong(path, "BASE_TYPE_BAD_LENGTH", said)
            else:
                said = f"Must be {most} or fewer in length."
                self.wrong(path, "BASE_TYPE_MAX_LENGTH", said)
        return value

    def number(
        self, value: object, path: Path, *, least: int, most: int, default: int | None = None
    ) -> int | None:
        """Read a whole number in its bounds; the default where it is left out."""
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
            return default
        if value < least:
            said = f"int value should be greater than or equal to {least}."
            self.wrong(path, "NUMBER_TYPE_MIN", said)
        if value > most:
            said = f"int value should be less than or equal to {most}."
            self.wrong(path, "NUMBER_TYPE_MAX", said)
        return value

    def items(self, value: object, path: Path, *, most: int, least: int = 0) -> list[Any]:
        """Read a list of bounded length; empty where it is left out."""
        if value is None and not least:
            return []
        if not isinstance(value, list):
            self.wrong(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return []
        if not least <= len(value) <= most:
            said = (
                f"Must be between {least} and {most} in length."
                if least
                else f"Must be {most} or fewer in length."
            )
            self.wrong(path, "BASE_TYPE_BAD_LENGTH", said)
        return value

    def table(self, value: object, path: Path) -> dict[str, Any]:
        """Read an object; empty, and noted, where it is none."""
        if isinstance(value, dict):
            return value
        self.wrong(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        return {}

    def address(self, value: object, path: Path, *, schemes: tuple[str, ...]) -> str | None:
        """Read a URL of one of the schemes; None where it is left out."""
        text = self.text(value, path, most=2048)
        if text is not None and not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            said = f"Scheme must be one of {schemes}."
            self.wrong(path, "URL_TYPE_INVALID_SCHEME", said)
        return text


def _pruned(errors: dict[str, Any]) -> dict[str, Any]:
    """A place has errors of its own or inside it, never both; those inside say more."""
    inside = {name: _pruned(one) for name, one in errors.items() if name != "_errors"}
    return inside or errors
