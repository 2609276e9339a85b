"""Statuses -> reported properties, what of them fits, and the smallest patch that brings the twin there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from edge_expose_contract.identity import State
from edge_expose_contract.limits import MAX_INTEGER, SECTION_BYTES, STRING_BYTES, section_size
from edge_expose_contract.reason_table import values_for
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.state.history import Since
from edge_expose_module.status.assess import RESTING, Status

# When a report does not fit, these fields go after the warnings, in this order; state, reason and address never.
_DROP_ORDER: Final = ("values", "message", "since", "endpoints", "probe", "service")
_MESSAGE_LIMIT: Final = 400
_MOST_WARNINGS: Final = 10
_WARNING_BYTES: Final = 200


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
            ("values", list(status.values) or None),
            ("since", since[name].time if name in since else None),
        ):
            if value is not None:
                entry[key] = value
        if name in probes:
            entry["probe"] = "ok" if probes[name] else "failing"
        section[name] = entry
    return section


def outdated(entries: Mapping[str, Any], block: Block) -> dict[str, Any]:
    """`exposures` and `summary` of a report whose `entries` nobody can look at any more."""
    found: dict[str, dict[str, Any]] = {}
    for name, entry in entries.items():
        found[name] = dict(entry)
        if entry.get("state") not in RESTING:
            found[name].pop("endpoints", None)
            found[name] |= {"state": str(State.PENDING), "reason": block.reason, "message": block.message}
            found[name]["values"] = list(block.values)
    return {"exposures": found, "summary": _counted(str(entry.get("state")) for entry in found.values())}


def summary(statuses: Mapping[str, Status]) -> dict[str, int]:
    return _counted(str(status.state) for status in statuses.values())


def _counted(states: Iterable[str]) -> dict[str, int]:
    counts = {str(state).lower(): 0 for state in State}
    for state in states:
        counts[state.lower()] = counts.get(state.lower(), 0) + 1
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


def cluster_section(observed: Observed | None, error: str) -> dict[str, Any]:
    """`api` is `ok` or why the cluster did not answer; the rest is as it was seen last."""
    section: dict[str, Any] = {"api": error[:300] or "ok"}
    if observed is not None:
        section["version"] = observed.capabilities.version
        section["loadBalancer"] = observed.load_balancer.name
        if observed.denied:
            section["denied"] = "; ".join(str(denied) for denied in observed.denied)[:500]
    return section


def pool_section(pass_plan: PassPlan, observed: Observed) -> dict[str, Any]:
    """Ranges as `A-B, C-D`, and how many addresses are used, reserved and free; the hub takes no number that an IPv6
    network of 64 bits needs, so there is a most."""
    legal = pass_plan.space.legal
    section: dict[str, Any] = {}
    if legal is not None:
        used = {address for service in observed.services.values() for address in service.assigned if address in legal}
        reserved = {address for address in pass_plan.space.reserved if address in legal} - used
        section = {
            "ranges": clip(str(legal)),
            "size": min(legal.size, MAX_INTEGER),
            "used": len(used),
            "reserved": len(reserved),
            "free": min(max(0, legal.size - len(used) - len(reserved)), MAX_INTEGER),
        }
    site = pass_plan.site.external if pass_plan.site is not None else None
    error = observed.load_balancer.pool_error
    real = legal if observed.load_balancer.pools is not None else None
    if error:
        section["reason"] = "PoolInvalid"
        section["message"] = clip(f"the load balancer rejects its configuration: {error}", _MESSAGE_LIMIT)
        section["values"] = list(values_for("PoolInvalid", {"error": error}))
    elif site and real is not None and not site.same_addresses(real):
        section["reason"] = "PoolMismatch"
        section["message"] = clip(f"site says {site}, the load balancer's pool is {real}; the pool decides")
        section["values"] = list(values_for("PoolMismatch", {"site": site, "pool": real}))
    return section


def shorten(
    report: Mapping[str, Any], limit: int = SECTION_BYTES, size: Callable[[Any], int] = section_size
) -> dict[str, Any]:
    """Fits a report into `limit` as `size` counts it, and marks it as shortened.

    Warnings but the first go first, then field after field of the exposures. When names, states and addresses alone
    are still too many, exposures are left out, those without an address first: an address may be known nowhere else,
    while `summary` goes on counting all. A warning then says how many are missing.
    """
    found = dict(report)
    if size(found) <= limit:
        return found
    found["shortened"] = True
    if "warnings" in found:
        found["warnings"] = found["warnings"][:1]
    for key in _DROP_ORDER:
        if size(found) <= limit:
            return found
        found["exposures"] = {
            name: {field: value for field, value in entry.items() if field != key}
            for name, entry in found["exposures"].items()
        }
    return found if size(found) <= limit else _leave_out(found, limit, size)


def _leave_out(report: dict[str, Any], limit: int, size: Callable[[Any], int]) -> dict[str, Any]:
    exposures: Mapping[str, Any] = report["exposures"]
    warned = report.get("warnings", [])

    def with_only(names: list[str]) -> dict[str, Any]:
        text = f"{len(exposures) - len(names)} of {len(exposures)} exposures have no room in this report"
        return {**report, "exposures": {name: exposures[name] for name in sorted(names)}, "warnings": [text, *warned]}

    room = limit - size(with_only([]))
    kept: list[str] = []
    for name in sorted(exposures, key=lambda name: ("address" not in exposures[name], name)):
        room -= size({name: exposures[name]})
        if room < 0:
            break
        kept.append(name)
    return with_only(kept)


def clip(text: str, limit: int = STRING_BYTES) -> str:
    """A text as the twin takes it: UTF-8 of at most `limit` bytes."""
    encoded = text.encode(errors="replace")
    fits = len(encoded) <= limit
    return encoded.decode() if fits else encoded[: limit - 3].decode(errors="ignore") + "…"


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
    """The whole reported section, as long as it comes: `shorten` fits it into a twin."""
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
        report["warnings"] = [clip(text, _WARNING_BYTES) for text in warnings[:_MOST_WARNINGS]]
    return report
