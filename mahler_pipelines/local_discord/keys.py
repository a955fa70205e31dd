"""The application's Ed25519 key: made once, kept in the state folder, used to sign interactions."""

import os
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mahler_pipelines.errors import CorruptData

KEY_FILE = "application.key"


class ApplicationKey:
    """Signs as Discord does: over the timestamp's bytes followed by the raw body."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """Read the key of a state folder, or make one that its owner alone can read.

        Raises `CorruptData` where the file holds no key.
        """
        path = state_dir / KEY_FILE
        if path.exists():
            try:
                return cls(Ed25519PrivateKey.from_private_bytes(path.read_bytes()))
            except ValueError as error:
                raise CorruptData(f"{path} holds no Ed25519 key: {error}") from None
        key = Ed25519PrivateKey.generate()
        raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        state_dir.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(raw)
        return cls(key)

    @property
    def public_hex(self) -> str:
        """What a bot's settings call the public key: 64 hexadecimal digits."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, timestamp: str, body: bytes) -> str:
        """Return the signature of a request as 128 hexadecimal digits."""
        return self._key.sign(timestamp.encode() + body).hex()

    def headers(self, timestamp: str, body: bytes) -> dict[str, str]:
        """Return the headers under which Discord sends an interaction."""
        return {
            "Content-Type": "application/json",
            "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
            "X-Signature-Timestamp": timestamp,
            "X-Signature-Ed25519": self.sign(timestamp, body),
        }
