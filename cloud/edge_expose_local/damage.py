"""State on disk that cannot be read: what is said then, and what helps."""

from __future__ import annotations

import sqlite3
import ssl
from pathlib import Path
from typing import Final

# What reading raises: SQLite for its files, ssl and cryptography for certificates, json for records.
UNREADABLE: Final = (sqlite3.DatabaseError, ssl.SSLError, ValueError)


class Damaged(Exception):
    """The text says which file or folder, and what to try."""

    def __init__(self, place: Path, error: Exception) -> None:
        reason = (str(error) or type(error).__name__).split("\n", 1)[0]
        super().__init__(
            f"what is in {place} cannot be read ({reason}); put it back as it was, "
            "or forget the whole instance: edge-expose local down --wipe"
        )
