"""Statuses -> reported properties, and the smallest patch that brings the twin there. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_expose_contract.identity import State
from edge_expose_contract.limits import SECTION_BYTES, STRING_BYTES, section_size
from edge_expose_module.assessing import Status
from edge_expose_module.deciding import Decided
from edge_expose_module.memory import Since
from edge_expose_module.observing import Observed

# When a report does not fit, these go first, in this order; state and address never.
_DROP_ORDER = ("message", "since", "endpoints")
_MESSAGE_LIMIT = 400


def exposures_section(
    statuses: Mapping[str, Status], since: Mapping[str, Since], probes: Mapping[str, bool]
) -> dict[str, dict[str, Any]]:
    """`probes` says of probed exposures whether they answer; latencies would change the twin all the time."""
    section: dict[str, dict[str, Any]] = {}
    for name, status in sorted(statuses.items()):
        entry: dict[str, Any] = {"state": str(status.state)}
        for key, value in (
            ("address", status.address),
            ("service", status.service),
            ("endpoints", status.endpoints),
            ("reason", status.reason),
            ("message", status.message[:_MESSAGE_LIMIT] if status.message else None),
            ("since", since[name].time if name in since else None),
        ):
            if value is not None:
                entry[key] = value
        if name in probes:
            entry["probe"] = "ok" if probes[name] else "failing"
        section[name] = entry
    return section


def summary(statuses: Mapping[str, Status]) -> dict[str, int]:
    counts = {str(state).lower(): 0 for state in State}
    for status in statuses.values():
        counts[str(status.state).lower()] += 1
    counts["notReady"] = counts["pending"] + counts["blocked"] + counts["failed"]
    return counts


def since_of(statuses: Mapping[str, Status], before: Mapping[str, Since], now: str) -> dict[str, Since]:
    """Keeps the time of every exposure whose state, address and reason are what they were."""
    result = {}
    for name, status in statuses.items():
        entry = Since(str(status.state), status.address or "", status.reason or "", now)
        old = before.get(name)
        same = old is not None and (old.state, old.address, old.reason) == (entry.state, entry.address, entry.reason)
        result[name] = old if same and old is not None else entry
    return result


def pool_section(decided: Decided, observed: Observed) -> dict[str, Any]:
    """Ranges as `A-B, C-D`, and how many addresses are used, reserved and free."""
    legal = decided.space.legal
    section: dict[str, Any] = {}
    if legal is not None:
        used = {address for service in observed.services.values() for address in service.assigned if address in legal}
        reserved = {address for address in decided.space.reserved if address in legal} - used
        section = {
            "ranges": str(legal),
            "size": legal.size,
            "used": len(used),
            "reserved": len(reserved),
            "free": max(0, legal.size - len(used) - len(reserved)),
        }
    site = decided.site.external if decided.site is not None else None
    real = observed.real_addresses()
    if observed.pool_error:
        section["reason"] = "PoolInvalid"
        section["message"] = observed.pool_error[:_MESSAGE_LIMIT]
    elif site and real is not None and not site.same_addresses(real):
        section["reason"] = "PoolMismatch"
        section["message"] = f"site says {site}, the load balancer's pool is {real}; the pool decides"
    return section


def shorten(report: dict[str, Any], limit: int = SECTION_BYTES) -> dict[str, Any]:
    """Fits a report into a twin section: messages go first, then since, then endpoints, and the report says so."""
    for key in _DROP_ORDER:
        if section_size(report) <= limit:
            return report
        exposures = {
            name: {field: value for field, value in entry.items() if field != key}
            for name, entry in report["exposures"].items()
        }
        report = {**report, "exposures": exposures, "shortened": True}
    return report


def clip(text: str) -> str:
    """A description as the twin takes it."""
    encoded = text.encode()
    return text if len(encoded) <= STRING_BYTES else encoded[: STRING_BYTES - 3].decode(errors="ignore") + "…"


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch from `old` to `new`; empty when they are equal."""
    patch: dict[str, Any] = {}
    for key in old:
        if key not in new:
            patch[key] = None
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or json.dumps(before, sort_keys=True) != json.dumps(value, sort_keys=True):
            patch[key] = value  # compared as text, since True and 1 are equal to Python and not to a twin
    return patch


def compose(
    *,
    version: int,
    code: int,
    description: str,
    module_version: str,
    cluster: Mapping[str, Any],
    pool: Mapping[str, Any],
    statuses: Mapping[str, Status],
    since: Mapping[str, Since],
    probes: Mapping[str, bool],
    pending_removal: tuple[int, str] | None,
    warnings: tuple[str, ...],
) -> dict[str, Any]:
    """The whole reported section, short enough for a twin."""
    report: dict[str, Any] = {
        "lastDesiredVersion": version,
        "lastDesiredStatus": {"code": code, "description": clip(description)},
        "module": {"version": module_version},
        "cluster": dict(cluster),
        "pool": dict(pool),
        "summary": summary(statuses),
        "exposures": exposures_section(statuses, since, probes),
    }
    if pending_removal is not None:
        report["pendingRemoval"] = {"count": pending_removal[0], "token": pending_removal[1]}
    if warnings:
        report["warnings"] = [clip(text) for text in warnings[:10]]
    return shorten(report)
