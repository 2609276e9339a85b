"""Backups that only the holder of a key can read: Fernet (AES-128-CBC and HMAC-SHA256) of the package `cryptography`.

The key stands in a file named by EDGE_EXPOSE_BACKUP_KEY_FILE: 32 bytes as URL-safe Base64, as
`openssl rand -base64 32 | tr '+/' '-_'` prints them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY_FILE: Final = "EDGE_EXPOSE_BACKUP_KEY_FILE"
_FIELD: Final = "sealed"


class KeyFileError(Exception):
    """The key cannot be read, is no key, or is not the one that a backup was sealed with."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and opens texts; without a key (None) texts stay as they are."""

    key: bytes | None = None

    def close(self, text: str) -> str:
        """The text of a file from which nobody without the key learns anything but its size."""
        if self.key is None:
            return text
        from cryptography.fernet import Fernet

        return json.dumps({_FIELD: Fernet(self.key).encrypt(text.encode()).decode()}) + "\n"

    def open(self, text: str) -> str:
        """What was sealed; a text that was not sealed as it is. Raises KeyFileError."""
        token = sealed_token(text)
        if token is None:
            return text
        if self.key is None:
            raise KeyFileError(f"the backup is sealed: name the file of its key in {KEY_FILE}")
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self.key).decrypt(token).decode()
        except InvalidToken:
            raise KeyFileError(f"the backup was sealed with another key than the one in {KEY_FILE}") from None


#: leaves texts as they are
OPEN: Final = Seal()


def seal_of(environment: Mapping[str, str]) -> Seal:
    """The seal that the environment names. Raises KeyFileError."""
    path = environment.get(KEY_FILE)
    if path is None:
        return OPEN
    if not path:
        raise KeyFileError(f"{KEY_FILE} is set and names no file: backups would be written in clear")
    from cryptography.fernet import Fernet

    try:
        key = Path(path).read_bytes().strip()
        Fernet(key)
    except OSError as error:
        raise KeyFileError(f"{KEY_FILE}: {path}: {error.strerror or error}") from error
    except ValueError:
        raise KeyFileError(f"{KEY_FILE}: {path} holds no key: 32 bytes as URL-safe Base64 are needed") from None
    return Seal(key)


def sealed_token(text: str) -> bytes | None:
    """What a sealed text holds; None for one that is not sealed."""
    try:
        found = json.loads(text).get(_FIELD)
    except (ValueError, AttributeError, RecursionError):
        return None
    return found.encode() if isinstance(found, str) else None
