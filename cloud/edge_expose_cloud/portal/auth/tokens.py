"""API tokens: what programs show in place of a session. A file (0600) that holds their hashes only.

A token holds 256 random bits, so a plain hash is enough. It belongs to an account, may do no more than that account may
now, and ends by itself.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_expose_cloud.adapters.files import write_private
from edge_expose_cloud.portal.auth.accounts import ROLES, AccountError, Role
from edge_expose_cloud.portal.auth.stored import only_writer

PREFIX: Final = "eex_"
DEFAULT_DAYS: Final = 90
MOST_DAYS: Final = 365
MOST_OF_USER: Final = 50
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class ApiToken:
    """`id` names it to people and opens nothing; `hash` is the token's; times are Unix seconds."""

    id: str
    name: str
    user: str
    scope: Role
    hash: str
    created: float
    expires: float


class Tokens:
    """By id; no file holds none. Methods raise AccountError when the file is not ours or cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._by_id: dict[str, ApiToken] = {}
        self._by_hash: dict[str, ApiToken] = {}

    def all(self) -> dict[str, ApiToken]:
        with self._lock:
            self._read()
            return dict(self._by_id)

    def of_user(self, user: str) -> list[ApiToken]:
        """The newest first, expired ones too."""
        return sorted((item for item in self.all().values() if item.user == user), key=lambda item: -item.created)

    def find(self, token: str, now: float) -> ApiToken | None:
        """What a token stands for, unless it has expired."""
        with self._lock:
            self._read()
            found = self._by_hash.get(_hash(token))
        return found if found is not None and now < found.expires else None

    def add(self, user: str, name: str, scope: str, days: int, now: float | None = None) -> tuple[ApiToken, str]:
        """The entry and the token itself, which nobody can be shown again."""
        now, name = time.time() if now is None else now, " ".join(name.split())
        role = next((role for role in ROLES if role == scope), None)
        if role is None:
            raise AccountError(f"{scope!r} is not a scope: viewer or operator")
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise AccountError(f"a token's name has 1 to {LONGEST_NAME} characters: say what it is for")
        if not 1 <= days <= MOST_DAYS:
            raise AccountError(f"a token lasts 1 to {MOST_DAYS} days")
        token = PREFIX + secrets.token_urlsafe(32)
        made = ApiToken(secrets.token_hex(4), name, user, role, _hash(token), now, now + days * 86400)
        with only_writer(self._path):
            # Expired ones are shown for a while, so that their owner sees why a program stopped.
            kept = {key: item for key, item in self.all().items() if now < item.expires + 30 * 86400}
            if sum(item.user == user for item in kept.values()) >= MOST_OF_USER:
                raise AccountError(f"{user} has {MOST_OF_USER} tokens: revoke one first")
            self._write({**kept, made.id: made})
        return made, token

    def revoke(self, id: str, user: str | None = None) -> ApiToken:
        """Ends one; with `user`, only when it is theirs."""
        with only_writer(self._path):
            tokens = self.all()
            found = tokens.pop(id, None)
            if found is None or (user is not None and found.user != user):
                raise AccountError(f"there is no token {id!r}")
            self._write(tokens)
        return found

    def revoke_all(self, user: str) -> int:
        """Ends all of a user; gives how many."""
        if not self.of_user(user):
            return 0
        with only_writer(self._path):
            tokens = self.all()
            kept = {key: item for key, item in tokens.items() if item.user != user}
            self._write(kept)
        return len(tokens) - len(kept)

    def _read(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._by_id, self._by_hash = None, {}, {}
            return
        except OSError as error:
            raise _unreadable(self._path, error) from None
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._seen:
            self._by_id = _parse(self._path)
            self._by_hash = {item.hash: item for item in self._by_id.values()}
            self._seen = stamp

    def _write(self, tokens: Mapping[str, ApiToken]) -> None:
        entries = {
            key: {
                "name": item.name,
                "user": item.user,
                "scope": item.scope,
                "hash": item.hash,
                "created": item.created,
                "expires": item.expires,
            }
            for key, item in sorted(tokens.items())
        }
        write_private(self._path.parent, self._path.name, json.dumps({"tokens": entries}, indent=2) + "\n")


def tokens_beside(users: Path) -> Path:
    """Where the tokens of the accounts in that file stand."""
    return users.with_name(f"{users.stem}.tokens.json")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _parse(path: Path) -> dict[str, ApiToken]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["tokens"]
        return {
            str(id): ApiToken(
                str(id),
                str(entry["name"]),
                str(entry["user"]),
                "operator" if entry["scope"] == "operator" else "viewer",
                str(entry["hash"]),
                float(entry["created"]),
                float(entry["expires"]),
            )
            for id, entry in entries.items()
        }
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AccountError(f"{path} is not a tokens file: move it aside, and create the tokens again") from None


def _unreadable(path: Path, error: OSError) -> AccountError:
    return AccountError(f"the tokens file {path} cannot be read: {error.strerror or error}")
