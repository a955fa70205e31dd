"""A program that signs like Discord."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mahler_pipelines.web.signatures import SIGNATURE, TIMESTAMP, Verifier

APPLICATION, GUILD, CHANNEL = "1100000000000000001", "1100000000000000010", "1100000000000000020"
TRADER, ROLE = "1100000000000000100", "1100000000000000201"


@dataclass(frozen=True)
class Signer:
    """An application's key, with what verifies it."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.key.public_key())

    def headers(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """The headers of a request that is signed at a moment, now without one."""
        timestamp = str(int(time.time() if at is None else at))
        return {
            SIGNATURE: self.key.sign(timestamp.encode() + body).hex(),
            TIMESTAMP: timestamp,
            "content-type": "application/json",
        }


def interaction(identifier: int, **changes: Any) -> dict[str, Any]:
    """A press of a button as Discord sends it."""
    user = {"id": TRADER, "username": "you", "global_name": "You", "discriminator": "0"}
    return {
        "id": str(identifier),
        "application_id": APPLICATION,
        "type": 3,
        "token": f"token-{identifier}",
        "version": 1,
        "guild_id": GUILD,
        "channel_id": CHANNEL,
        "member": {"user": user, "roles": [ROLE], "nick": None, "permissions": "0"},
        "message": {"id": "1100000000000000900", "content": "", "embeds": []},
        "data": {"component_type": 2, "custom_id": "mahler:1:approve:main:r-1"},
        "locale": "en-US",
    } | changes


def encoded(raw: Any) -> bytes:
    return json.dumps(raw).encode()
