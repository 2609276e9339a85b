"""Keeps the hub's records on disk: SQLite in WAL mode, every commit synced before anybody is answered."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]


class Store:
    """Records are JSON objects named by (kind, key). A commit is all or nothing and survives kill -9 at any instant."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        os.close(descriptor)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS record"
            " (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )

    def load(self, kind: str) -> dict[str, JsonObject]:
        rows = self._db.execute("SELECT key, value FROM record WHERE kind = ? ORDER BY key", (kind,))
        return {key: json.loads(value) for key, value in rows}

    def commit(self, changes: Iterable[tuple[str, str, JsonObject | None]]) -> None:
        """Writes (kind, key, record) triples; None removes the record."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for kind, key, value in changes:
                if value is None:
                    self._db.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
                else:
                    text = json.dumps(value, separators=(",", ":"))
                    self._db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, key, text))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._db.close()
