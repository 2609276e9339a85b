"""Every rail, one row each: adding one is a row here, a field of `Guards` and a function in `refuse`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edge_expose_contract.addressing import parse_range
from edge_expose_contract.models import Exposure
from edge_expose_contract.violations import RuleError
from edge_expose_module.blocks import Block
from edge_expose_module.desired.rails import parse, refuse, stricter
from edge_expose_module.desired.rails.model import Guards

_ANYWHERE: Final = (tuple(map(parse_range, ("0.0.0.0/0", "::/0"))),)
_HARMLESS: Final = (("*",),)


@dataclass(frozen=True, slots=True)
class Rail:
    """`key` names it in the ConfigMap, and in the environment with `EDGE_EXPOSE_` before it. `silent` is what a
    ConfigMap means that does not say it: there the owner speaks, so what is refused by default stays refused."""

    field: str
    key: str
    parse: Callable[[str], Any]
    stricter: Callable[[Any, Any], Any]
    refuse: Callable[[Guards, Exposure, str], Block | None] = refuse.nothing
    silent: Any = None


RAILS: Final = (
    Rail("namespaces", "ALLOW_NAMESPACES", parse.namespaces, stricter.in_common, refuse.namespace),
    Rail("ports", "ALLOW_PORTS", parse.ports, stricter.overlap, refuse.ports),
    Rail("addresses", "ALLOW_ADDRESSES", parse.addresses, stricter.addresses, refuse.addresses),
    Rail("sources", "ALLOW_SOURCES", parse.networks, stricter.networks, refuse.sources),
    Rail("endpoints", "ALLOW_ENDPOINTS", parse.layer_of_networks, stricter.layers, refuse.endpoints, _ANYWHERE),
    Rail("annotations", "ALLOW_ANNOTATIONS", parse.layer_of_keys, stricter.layers, refuse.annotation, _HARMLESS),
    Rail("labels", "ALLOW_LABELS", parse.layer_of_keys, stricter.layers, refuse.label, _HARMLESS),
    Rail("hostnames", "ALLOW_HOSTNAMES", parse.layer_of_hostnames, stricter.layers, refuse.hostname),
    Rail("classes", "ALLOW_CLASSES", parse.classes, stricter.in_common, refuse.load_balancer_class),
    # Asked where a Service would be taken over, and where the number of exposures and removals is known.
    Rail("adopt", "ALLOW_ADOPT", parse.yes_or_no, stricter.both, silent=False),
    Rail("take_over", "TAKE_OVER", parse.owners, stricter.in_common, silent=frozenset()),
    Rail("max_exposures", "MAX_EXPOSURES", parse.count, stricter.smaller),
    Rail("max_removal_percent", "MAX_REMOVAL_PERCENT", parse.percent, stricter.smaller),
)


def read(texts: Mapping[str, str], place: str) -> tuple[Guards, list[str]]:
    """Rails as written at `place`, by key; and what is wrong with them, one line each. An empty text says nothing."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for rail in RAILS:
        text = texts.get(rail.key, "").strip()
        if not text:
            continue
        try:
            values[rail.field] = rail.parse(text)
        except (ValueError, RuleError) as error:
            problems.append(f"{rail.key}={text!r}: {error}")
    return Guards(**values, said=dict.fromkeys(values, place)), problems


def merged(environment: Guards, owner: Guards) -> Guards:
    """The stricter of both, field by field; `owner` is what the ConfigMap says."""
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for rail in RAILS:
        first = getattr(environment, rail.field)
        second = getattr(owner, rail.field) if rail.field in owner.said else rail.silent
        if first is None or second is None:
            values[rail.field] = second if first is None else first
        else:
            values[rail.field] = rail.stricter(first, second)
        places = [guards.said[rail.field] for guards in (environment, owner) if rail.field in guards.said]
        if places:
            said[rail.field] = " and in the ".join(places)
    return replace(environment, **values, said=said)


def refused(guards: Guards, exposure: Exposure, namespace: str, count: int) -> Block | None:
    """Why the device's owner does not allow this exposure; `count` is its place among those granted."""
    for rail in RAILS:
        found = rail.refuse(guards, exposure, namespace)
        if found is not None:
            return found
    if guards.max_exposures is not None and count > guards.max_exposures:
        told = f"this device allows {guards.max_exposures} exposures{guards.where('max_exposures')}"
        return Block.of("TooManyExposures", f"{told}; remove another first", limit=guards.max_exposures)
    return None
