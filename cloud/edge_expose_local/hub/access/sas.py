"""Shared access signatures: making, reading and checking them. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote

PREFIX = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class SasToken:
    """`resource` is still percent-encoded (that form is what is signed); `expiry` is Unix time in seconds."""

    resource: str
    signature: str
    expiry: int
    policy: str | None

    @property
    def plain_resource(self) -> str:
        return unquote(self.resource)


def digest(key: str, data: bytes) -> str:
    """Base64 of HMAC-SHA256 with a base64 key."""
    return base64.b64encode(hmac.new(base64.b64decode(key), data, hashlib.sha256).digest()).decode()


def make(resource: str, key: str, expiry: int, policy: str | None = None) -> str:
    """A token for `resource` (plain text, encoded here)."""
    encoded = quote_plus(resource)
    signature = quote(digest(key, f"{encoded}\n{expiry}".encode()), safe="")
    return f"{PREFIX}sr={encoded}&sig={signature}&se={expiry}" + (f"&skn={policy}" if policy else "")


def parse(text: str) -> SasToken | str:
    """The token, or a sentence that says what is wrong with it."""
    if not text.startswith(PREFIX):
        return "not a SharedAccessSignature"
    fields: dict[str, str] = {}
    for part in text[len(PREFIX) :].split("&"):
        name, _, value = part.partition("=")
        fields[name.strip()] = value
    if missing := [name for name in ("sr", "sig", "se") if not fields.get(name)]:
        return f"the token has no {', '.join(missing)}"
    try:
        expiry = int(fields["se"])
    except ValueError:
        return "se is not a number"
    policy = unquote(fields["skn"]) if fields.get("skn") else None
    return SasToken(fields["sr"], unquote(fields["sig"]), expiry, policy)


def signed_by(token: SasToken, keys: tuple[str, ...]) -> bool:
    """Whether one of the base64 keys made this signature."""
    data = f"{token.resource}\n{token.expiry}".encode()
    return any(hmac.compare_digest(digest(key, data), token.signature) for key in keys if key)


def valid_key(text: str) -> bool:
    """Base64 of 16 to 64 bytes."""
    try:
        return 16 <= len(base64.b64decode(text, validate=True)) <= 64
    except (binascii.Error, ValueError):
        return False
