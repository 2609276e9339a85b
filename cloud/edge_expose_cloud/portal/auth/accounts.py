"""The accounts file: names, roles and argon2id hashes. 0600, written whole or not at all, reread when it changes."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edge_expose_cloud.adapters.files import write_private
from edge_expose_cloud.portal.auth.stored import only_writer

Role = Literal["viewer", "operator"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator")
SHORTEST: Final = 10
LONGEST: Final = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class AccountError(ValueError):
    """The text says what is wrong and is fit for a person."""


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    role: Role
    hash: str


@functools.cache
def _nobody() -> str:
    """A hash to spend the same time on when there is no such account."""
    return PasswordHasher().hash("nobody has this password")


class Accounts:
    """`verify` and `add` hash (64 MiB, a tenth of a second): the portal does that in its PasswordQueue only.

    `verify` costs the same for a name that does not exist.
    """

    def __init__(self, path: Path, hasher: PasswordHasher | None = None) -> None:
        self._path = path
        self._hasher = hasher or PasswordHasher()
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}

    def all(self) -> dict[str, Account]:
        """By name; no file holds nobody. Raises AccountError when it is not ours or cannot be read."""
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                self._seen, self._accounts = None, {}
                return {}
            except OSError as error:
                raise _unreadable(self._path, error) from None
            # Written whole, it is another file each time, even within one tick of the clock.
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp != self._seen:
                self._accounts = _parse(self._path)
                self._seen = stamp
            return dict(self._accounts)

    def add(self, name: str, role: str, password: str) -> None:
        """Adds a user or replaces its role and password. Raises AccountError."""
        if not _NAME.fullmatch(name):
            raise AccountError(f"{name!r} is not a user name: letters, digits and . _ @ -, at most 64")
        if role not in ROLES:
            raise AccountError(f"{role!r} is not a role: viewer or operator")
        check_password(password)
        made = Account(name, _role(role), self._hasher.hash(password))
        with only_writer(self._path):
            self._write({**self.all(), name: made})

    def change_password(self, account: Account, password: str) -> Account:
        """Another password for an account that is still the one given. Raises AccountError."""
        check_password(password)
        hash = self._hasher.hash(password)
        with only_writer(self._path):
            accounts = self.all()
            now = accounts.get(account.name)
            if now is None or now.hash != account.hash:
                raise AccountError("somebody else changed this account just now: sign in again")
            made = replace(now, hash=hash)
            self._write({**accounts, account.name: made})
        return made

    def remove(self, name: str) -> None:
        """Takes a user out; whoever is signed in by that name is out with the next request. Raises AccountError."""
        with only_writer(self._path):
            accounts = self.all()
            if name not in accounts:
                known = ", ".join(sorted(accounts)) or "none"
                raise AccountError(f"{self._path} holds no user {name!r} (users: {known})")
            self._write({key: account for key, account in accounts.items() if key != name})

    def _write(self, accounts: Mapping[str, Account]) -> None:
        entries = {key: {"role": item.role, "hash": item.hash} for key, item in sorted(accounts.items())}
        write_private(self._path.parent, self._path.name, json.dumps({"users": entries}, indent=2) + "\n")

    def verify(self, name: str, password: str) -> Account | None:
        """The account, or None when name or password is wrong."""
        account = self.all().get(name)
        try:
            self._hasher.verify(account.hash if account is not None else _nobody(), password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return None
        return account


def check_password(password: str) -> None:
    """Raises AccountError."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise AccountError(f"a password has {SHORTEST} to {LONGEST} characters")


def _role(text: str) -> Role:
    return "operator" if text == "operator" else "viewer"


def _parse(path: Path) -> dict[str, Account]:
    try:
        users = json.loads(path.read_text(encoding="utf-8"))["users"]
        return {
            str(name): Account(str(name), _role(entry["role"]), str(entry["hash"])) for name, entry in users.items()
        }
    except OSError as error:
        raise _unreadable(path, error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AccountError(
            f"{path} is not an accounts file: correct it, or move it aside and create the accounts again with "
            "`edge-expose portal adduser`"
        ) from None


def _unreadable(path: Path, error: OSError) -> AccountError:
    return AccountError(f"the accounts file {path} cannot be read: {error.strerror or error}")
