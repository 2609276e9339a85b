"""Configurations that the load balancer reads: what it rejects, where it says so, and that it goes on with the old one.

The answer holds `accepted`; for a rejected one `message`, and where it stands: 0.16.1 in the status of its
ConfigurationState, 0.10.3 in a log line and a metric only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from support.situations.bed import Bed, PoolSpecs, pool
from support.situations.metallb_addresses import POOL
from support.situations.metallb_pools import OTHER
from support.situations.table import METALLB, Seen, situation
from support.testbed_plane import http_get
from support.waiting import eventually

_STALE = "metallb_k8s_client_config_stale_bool"


def played(bed: Bed, write: Callable[[], None], values: Mapping[str, str]) -> Seen:
    """Puts a sound configuration in force, then writes another one, and looks what became of it."""
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    if bed.profile == "1.36":
        eventually(lambda: bed.configuration_state().get("result") == "Valid", what="a sound configuration")
    start = bed.log_size()
    write()
    answer = _state(bed, start) if bed.profile == "1.36" else _log(bed, start)
    if not answer["accepted"]:  # the old configuration is still in force
        bed.balancer(namespace, "asker", bed.address(20))
        bed.wait_address(namespace, "asker", bed.address(20))
    # 0.10.3 names a pool by its place as well
    return Seen(answer, {"pool": POOL, "number": "#1", **values} if bed.profile == "1.20" else {"pool": POOL, **values})


def _state(bed: Bed, start: int) -> dict[str, Any]:
    def settled() -> dict[str, Any] | None:
        """Condition and summary are written one after the other."""
        state = bed.configuration_state()
        summary = "\n".join(one["message"] for one in state["conditions"] if one["status"] == "False")
        return state if state.get("errorSummary", "") == summary else None

    state = dict(eventually(settled, what="condition and summary agree") or {})
    said = [line for line in bed.log(start) if bed.says_how_it_read(line)]
    # A rejection is said again at each reading, also of objects that have nothing to do with it.
    answer = {"configurationState": state, "log": said[-1:]}
    if state["result"] == "Valid":
        return {"accepted": True, **answer}
    return {"accepted": False, "message": state["errorSummary"], **answer}


def _log(bed: Bed, start: int) -> dict[str, Any]:
    def lines() -> list[dict[str, Any]]:
        found = bed.log(start)
        ends = [place for place, line in enumerate(found) if bed.says_how_it_read(line)]
        return found[: ends[0] + 1] if ends else []

    read = eventually(lines, what="the configuration is read")
    kept = [line for line in read if "error" in line or bed.says_how_it_read(line)]
    if kept[-1].get("event") == "configLoaded":
        return {"accepted": True, "log": kept}
    message = next(str(line["error"]) for line in kept if line["error"] is not None)
    answer: dict[str, Any] = {"accepted": False, "message": message, "log": kept}
    if bed.real is not None:
        shown = http_get(None, bed.real.metallb.metrics_port, "/metrics").decode()
        assert re.search(rf"^{_STALE}(\{{.*\}})? 1$", shown, re.MULTILINE), f"{_STALE} is not 1"
    return answer


def _enter_pools(name: str, given: str, make: Callable[[Bed], tuple[PoolSpecs, dict[str, str]]], **more: Any) -> None:
    @situation(METALLB, given, name=name, **more)
    def run(bed: Bed) -> Seen:
        pools, values = make(bed)
        return played(bed, lambda: bed.set_pools(pools), values)


_enter_pools(
    "pools_overlap",
    "Two pools have addresses in common.",
    lambda bed: (
        # written one after the other, and read in the order of their names: the first one stays as it is
        {POOL: pool(bed.range(10, 20)), OTHER: pool(bed.range(12, 13))},
        {"cidr": f"{bed.address(12)}/30", "other_cidr": f"{bed.address(12)}/31", "other": OTHER},
    ),
)
_enter_pools(
    "pool_overlaps_itself",
    "Two elements of one pool have addresses in common.",
    lambda bed: (
        {POOL: pool(bed.range(8, 15), f"{bed.address(12)}/30")},
        {"cidr": f"{bed.address(8)}/29", "other_cidr": f"{bed.address(12)}/30"},
    ),
)
_enter_pools("pool_without_addresses", "A pool has an empty list of addresses.", lambda bed: ({POOL: pool()}, {}))
_enter_pools(
    "pool_allocation_repeats_namespace",
    "A pool names a namespace twice.",
    lambda bed: (
        {POOL: pool(bed.range(10, 20), serviceAllocation={"namespaces": ["web", "web"]})},
        {},
    ),
    profiles=("1.36",),
)
_enter_pools(
    "pool_allocation_repeats_selector",
    "A pool has a namespace selector twice.",
    lambda bed: (
        {POOL: pool(bed.range(10, 20), serviceAllocation={"namespaceSelectors": [{"matchLabels": {"a": "b"}}] * 2})},
        {"selector": '{map["a":"b"] []}', "field": "namespaceSelectors"},
    ),
    profiles=("1.36",),
)
_enter_pools(
    "pool_allocation_with_bad_selector",
    "A pool has a selector whose operator does not exist.",
    lambda bed: (
        {
            POOL: pool(
                bed.range(10, 20),
                serviceAllocation={"serviceSelectors": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]},
            )
        },
        {"selector": "{map[] [{a Is []}]}", "operator": "Is"},
    ),
    profiles=("1.36",),
)

ELEMENTS: dict[str, tuple[str, str]] = {
    "bare_address": ("is an address without a prefix length", "192.0.2.4"),
    "reversed_range": ("is a range that ends before it begins", "192.0.2.10-192.0.2.1"),
    "prefix_too_long": ("has a prefix length that its family has not", "192.0.2.0/33"),
    "short_range_end": ("is a range that ends in a number", "192.0.2.4-5"),
    "range_without_end": ("is a range without an end", "192.0.2.4-"),
    "range_without_start": ("is a dash", "-"),
    "range_with_bad_start": ("is a range that starts with a name", "web-192.0.2.9"),
    "two_in_one": ("is two networks with a comma", "192.0.2.0/28,192.0.2.32/28"),
    "blank_before": ("is a network after a blank", " 192.0.2.0/28"),
    "octet_too_large": ("has an octet above 255", "192.0.2.300/32"),
    "mixed_range": ("is a range from an IPv4 to an IPv6 address", "192.0.2.4-fc00::1"),
    "mixed_range_back": ("is a range from an IPv6 to an IPv4 address", "fc00::1-192.0.2.4"),
    "host_bits": ("is a network with host bits set", "192.0.2.77/24"),
    "blanks_in_range": ("is a range with blanks around its ends", " 192.0.2.4 - 192.0.2.9 "),
    "leading_zero": ("has an octet with a leading zero", "192.0.2.04/32"),
    "name": ("is a name", "web.example.com"),
}


def _parts(element: str) -> dict[str, str]:
    """An element, and the ends of a range as they stand between its blanks."""
    first, _, last = element.partition("-")
    ends = {"first": first.strip(), "last": last.strip()} if "-" in element else {}
    return {"element": element, **{key: text for key, text in ends.items() if text}}


for _name, (_what, _element) in ELEMENTS.items():
    _enter_pools(
        f"element_{_name}",
        f"An element of a pool {_what}.",
        lambda bed, element=_element: ({POOL: pool(element)}, _parts(element)),
    )


# --- 0.10.3: text in a ConfigMap ---


def _enter_text(name: str, given: str, make: Callable[[Bed], tuple[str, dict[str, str]]]) -> None:
    @situation(METALLB, given, name=name, profiles=("1.20",))
    def run(bed: Bed) -> Seen:
        text, values = make(bed)
        return played(bed, lambda: bed.set_text(text), values)


def _entry(bed: Bed, first: int = 10, last: int = 20, **more: Any) -> dict[str, Any]:
    found = {"name": POOL, "protocol": "layer2", "addresses": [bed.range(first, last)], **more}
    return {key: value for key, value in found.items() if value is not None}


def _text(*entries: Mapping[str, Any], **more: Any) -> str:
    return str(yaml.safe_dump({"address-pools": list(entries), **more}, sort_keys=False))


def _at_line(text: str, key: str) -> tuple[str, dict[str, str]]:
    """The text, and the line of the last of its keys of that name."""
    lines = text.splitlines()
    line = max(place for place, found in enumerate(lines, 1) if found.strip().startswith(f"{key}:"))
    return text, {"key": key, "line": str(line)}


_enter_text(
    "two_pools_of_one_name", "Two pools have one name.", lambda bed: (_text(_entry(bed), _entry(bed, 40, 49)), {})
)
_enter_text("pool_without_name", "A pool has no name.", lambda bed: (_text(_entry(bed, name=None)), {}))
_enter_text("pool_without_protocol", "A pool has no protocol.", lambda bed: (_text(_entry(bed, protocol=None)), {}))
_enter_text(
    "pool_of_unknown_protocol",
    "A pool has a protocol that does not exist.",
    lambda bed: (_text(_entry(bed, protocol="ospf")), {"protocol": "ospf"}),
)
_enter_text(
    "layer2_pool_with_bgp_settings",
    "A layer2 pool has advertisements for BGP.",
    lambda bed: (_text(_entry(bed, **{"bgp-advertisements": [{"localpref": 100}]})), {}),
)
_enter_text(
    "unknown_key",
    "The text has a key that does not exist.",
    lambda bed: _at_line(_text(_entry(bed), colour="red"), "colour"),
)
_enter_text(
    "unknown_key_of_pool",
    "A pool has a key that does not exist.",
    lambda bed: _at_line(_text(_entry(bed, colour="red")), "colour"),
)
_enter_text(
    "repeated_key",
    "A pool has a key twice.",
    lambda bed: _at_line(_text(_entry(bed)) + "  protocol: layer2\n", "protocol"),
)
_enter_text("broken_yaml", "The text is no YAML.", lambda bed: ("address-pools: [", {}))
_enter_text("yaml_list", "The text is a list.", lambda bed: ("- a\n- b\n", {}))
_enter_text("empty_text", "The text is empty.", lambda bed: ("", {}))
_enter_text(
    "addresses_as_text",
    "The addresses of a pool are a text.",
    lambda bed: (_text(_entry(bed, addresses="none")), {"line": "4", "text": "none"}),
)


@situation(METALLB, "The ConfigMap is gone.", profiles=("1.20",))
def no_configuration(bed: Bed) -> Seen:
    return played(bed, bed.drop_config, {})


@situation(METALLB, "A new configuration leaves out an address that a Service holds.", profiles=("1.20",))
def configuration_leaves_out_held_address(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    bed.balancer(namespace, "holder", bed.address(12))
    bed.wait_address(namespace, "holder")
    seen = played(
        bed,
        lambda: bed.set_pools({POOL: pool(bed.range(18, 30))}),
        {"namespace": namespace, "name": "holder", "address": bed.address(12)},
    )
    assert bed.addresses(namespace, "holder") == [bed.address(12)]
    return seen
