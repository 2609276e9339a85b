"""Browsers that an account has signed in from before. No I/O, nothing kept here.

Such a browser has a throttle of its own, so that guesses from elsewhere cannot keep the owner of an account out. Its
cookie says for which account, since when, and carries a code whose key is made of the account's password hash: it
opens nothing, another password ends it, and it outlives a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

from edge_expose_cloud.portal.auth.accounts import Account

KNOWN_SECONDS: Final = 180 * 86400
_COOKIE = re.compile(r"(?P<id>[0-9a-f]{32})\.(?P<at>[0-9]{1,12})\.(?P<code>[0-9a-f]{64})")


def browser_cookie(account: Account, now: float) -> str:
    """`now` in Unix seconds."""
    id, at = secrets.token_hex(16), str(int(now))
    return f"{id}.{at}.{_code(account, id, at)}"


def known_browser(cookie: str, account: Account | None, now: float) -> str:
    """The browser's id when it signed in to this account before, else ""."""
    found = _COOKIE.fullmatch(cookie)
    if found is None or account is None or not account.hash or not 0 <= now - int(found["at"]) <= KNOWN_SECONDS:
        return ""
    good = hmac.compare_digest(found["code"], _code(account, found["id"], found["at"]))
    return found["id"] if good else ""


def _code(account: Account, id: str, at: str) -> str:
    key = hashlib.sha256(f"edge-expose browser\n{account.hash}".encode()).digest()
    return hmac.new(key, f"{account.name}\n{id}\n{at}".encode(), "sha256").hexdigest()
