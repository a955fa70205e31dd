"""Whether a request really comes from Discord: Ed25519 over its timestamp and its raw body."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mahler_pipelines.errors import SettingsError

SIGNATURE, TIMESTAMP = "x-signature-ed25519", "x-signature-timestamp"
STALE_SECONDS = 60.0
"""Discord wants its answer within 3 s; a minute leaves room for clocks that differ."""

_SIGNATURE_FORM = re.compile(r"[0-9a-fA-F]{128}")
_TIMESTAMP_FORM = re.compile(r"[0-9]{1,12}")


class Forged(StrEnum):
    """Why a request is not taken to be Discord's."""

    NO_SIGNATURE = "no_signature"
    MALFORMED = "malformed"
    WRONG_SIGNATURE = "wrong_signature"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Verifier:
    """The application's public key, as 64 hex digits."""

    key: Ed25519PublicKey

    @classmethod
    def of(cls, public_key: str) -> "Verifier":
        """Read the key; raise `SettingsError` for what is no Ed25519 key in hex."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)))
        except ValueError:
            wrong = "is no Ed25519 public key of 64 hex digits"
            raise SettingsError("discord.public_key", public_key, wrong) from None

    def forged(self, headers: Mapping[str, str], body: bytes, *, now: float) -> Forged | None:
        """Why the request is not Discord's; None when it is. `now` is in seconds of the epoch.

        Nothing of the body is read before its signature is right.
        """
        signature, timestamp = headers.get(SIGNATURE), headers.get(TIMESTAMP)
        if not signature or not timestamp:
            return Forged.NO_SIGNATURE
        if not _SIGNATURE_FORM.fullmatch(signature) or not _TIMESTAMP_FORM.fullmatch(timestamp):
            return Forged.MALFORMED
        try:
            self.key.verify(bytes.fromhex(signature), timestamp.encode() + body)
        except InvalidSignature:
            return Forged.WRONG_SIGNATURE
        return Forged.STALE if abs(now - int(timestamp)) > STALE_SECONDS else None
