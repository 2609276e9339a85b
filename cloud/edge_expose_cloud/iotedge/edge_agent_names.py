"""Two sanitisers of edgeAgent that only its Services need (the others live in the contract's `names`). Pure.

Like all of edgeAgent's they delete characters, never substitute and never truncate.
"""

from __future__ import annotations

from edge_expose_contract.names import MAX_LABEL
from edge_expose_contract.violations import RuleError, shown

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")
_DOMAIN_LIMIT = 253


def sanitize_dns_value(text: str) -> str:
    """RFC 1035 label: trimmed to start with a letter, end alphanumeric, then a-z 0-9 - kept. Raises RuleError."""
    lowered = text.lower()
    start, end = 0, len(lowered)
    while start < end and lowered[start] not in _LETTERS:
        start += 1
    while end > start and lowered[end - 1] not in _LETTERS | _DIGITS:
        end -= 1
    kept = "".join(c for c in lowered[start:end] if c in _LETTERS or c in _DIGITS or c == "-")
    if not kept:
        raise RuleError(
            "NameEmpty", f"nothing of {shown(text)} is left after edgeAgent's name rules", "use letters and digits"
        )
    if len(kept) > MAX_LABEL:
        raise RuleError(
            "NameTooLong", f"{shown(text)} is longer than {MAX_LABEL} characters for edgeAgent", "shorten it"
        )
    return kept


def sanitize_dns_domain(text: str) -> str:
    """A DNS domain, each dotted part by `sanitize_dns_value`. Raises RuleError."""
    domain = ".".join(sanitize_dns_value(part) for part in text.split("."))
    if len(domain) > _DOMAIN_LIMIT:
        raise RuleError(
            "NameTooLong", f"{shown(text)} is longer than {_DOMAIN_LIMIT} characters for edgeAgent", "shorten it"
        )
    return domain


def sanitize_annotation_key(text: str) -> str:
    """`[prefix/]name`, split at the first `/`; the name keeps its case. Raises RuleError."""
    prefix, slash, name = text.partition("/")
    if not slash:
        prefix, name = "", text
    start, end = 0, len(name)
    while start < end and not _alnum(name[start]):
        start += 1
    while end > start and not _alnum(name[end - 1]):
        end -= 1
    kept = "".join(c for c in name[start:end] if _alnum(c) or c in "-._")
    if not kept:
        raise RuleError(
            "NameEmpty", f"nothing of {shown(text)} is left after edgeAgent's name rules", "use letters and digits"
        )
    if len(kept) > MAX_LABEL:
        raise RuleError(
            "NameTooLong", f"{shown(text)} is longer than {MAX_LABEL} characters for edgeAgent", "shorten it"
        )
    return f"{sanitize_dns_domain(prefix)}/{kept}" if slash else kept


def _alnum(char: str) -> bool:
    return char.isascii() and char.isalnum()
