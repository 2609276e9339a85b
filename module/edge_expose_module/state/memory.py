"""What the module remembers between starts: the last good document, addresses given, what expired. JSON on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.parsing import DesiredDocument, parse_exposure, parse_site
from edge_expose_contract.ports import beyond_document
from edge_expose_contract.violations import RuleError
from edge_expose_module.load_balancers.pools import Pool, pools_from_json
from edge_expose_module.state.history import History, Since, history_from, history_json
from edge_expose_module.state.rejection import Rejection, Rejections

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """`document` is the last accepted desired section as received, `last_good` the last good form of each exposure."""

    document: Mapping[str, Any] | None = None
    version: int = 0
    site: Mapping[str, Any] | None = None
    last_good: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    previous_good: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The form before the last good one, in which an exposure had its address: a load balancer may refuse a new port
    when the form with it counts as good already."""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expired: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, Since] = field(default_factory=dict)
    confirmed: tuple[str, ...] = ()
    held_before: tuple[str, ...] = ()
    """What was held when the removal guard began to hold back; empty while it does not."""
    released: tuple[str, ...] = ()
    """Exposures whose removal was confirmed and is not done yet."""
    removal_mark: tuple[str, ...] = ()
    """Of the removal that waits for a confirmation: what it is, and when it began to wait."""
    held: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each exposure had last; an address that it asks for and was not given does not count."""
    rejected: Rejections = field(default_factory=dict)
    identities: tuple[str, ...] = ()
    """Every `hub/device/module` that this state file served, in order."""
    lives: tuple[str, ...] = ()
    """Stamps of this module's last processes, which stand on Services they wrote."""
    pools: tuple[Pool, ...] | None = None
    """The load balancer's pools when they were last sound."""
    rails: Mapping[str, str] | None = None
    """The last good guard rails of the ConfigMap, as written there; None when there never were any."""
    homes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Namespaces in which each exposure has, or is about to have, objects of ours."""
    knows_homes: bool = False
    """`homes` names every object of ours: it was kept up since the first decision on this disk."""
    history: History = ()

    def accepted(self, raw: Mapping[str, Any], version: int, document: DesiredDocument) -> Memory:
        """Memory once a document is accepted: it, its site if that is sound, and nothing else yet."""
        site = raw.get("site") if document.site is not None else self.site
        return replace(self, document=raw, version=version, site=site)

    def good_exposures(self) -> dict[str, Exposure]:
        """Those that a document has room for: an older module may have written more."""
        found = {}
        for name, raw in self.last_good.items():
            exposure, violations = parse_exposure(name, dict(raw))
            if exposure is not None and not violations:
                found[name] = exposure
        beyond = beyond_document({name: exposure.port_count for name, exposure in found.items()})
        return {name: exposure for name, exposure in found.items() if name not in beyond}

    def previous_form(self, name: str) -> Exposure | None:
        raw = self.previous_good.get(name)
        exposure, violations = parse_exposure(name, dict(raw)) if raw is not None else (None, ())
        return exposure if not violations else None

    def good_site(self) -> Site | None:
        return parse_site(self.site)[0]

    def known_addresses(self) -> dict[str, tuple[Address, ...]]:
        return {name: found for name, texts in self.addresses.items() if (found := _addresses(texts))}

    def last_held(self) -> dict[str, tuple[Address, ...]]:
        return {name: found for name, texts in self.held.items() if (found := _addresses(texts))}

    def learn_reported(self, reported: Mapping[str, Any]) -> Memory:
        """Adds addresses, and where the Services stand, that only the twin still knows: for a device whose disk was
        replaced."""
        exposures = reported.get("exposures")
        if not isinstance(exposures, Mapping):
            return self
        # An older release took what carries our labels for ours, wherever that stood.
        may_tell = self.knows_homes or self.document is None
        learned, held, homes = dict(self.addresses), dict(self.held), dict(self.homes)
        for name, entry in exposures.items():
            service = entry.get("service") if isinstance(entry, Mapping) else None
            if may_tell and isinstance(service, str) and "/" in service:
                homes[name] = tuple(sorted({*homes.get(name, ()), service.partition("/")[0]}))
            text = entry.get("address") if isinstance(entry, Mapping) else None
            if isinstance(text, str) and name not in learned and _addresses(tuple(text.split(","))):
                learned[name] = tuple(text.split(","))
                held.setdefault(name, learned[name])
        return replace(self, addresses=learned, held=held, homes=homes)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "document": self.document,
            "version": self.version,
            "site": self.site,
            "wishes": dict(self.last_good),
            "wishesBefore": dict(self.previous_good),
            "addresses": {name: list(texts) for name, texts in sorted(self.addresses.items())},
            "expired": dict(self.expired),
            "since": {
                name: [entry.state, entry.address, entry.reason, entry.time]
                for name, entry in sorted(self.since.items())
            },
            "confirmed": list(self.confirmed),
            "heldBefore": list(self.held_before),
            "released": list(self.released),
            "removalMark": list(self.removal_mark),
            "held": {name: list(texts) for name, texts in sorted(self.held.items())},
            "rejected": {name: [entry.to_json() for entry in found] for name, found in sorted(self.rejected.items())},
            "identities": list(self.identities),
            "lives": list(self.lives),
            "pools": None if self.pools is None else [pool.to_json() for pool in self.pools],
            "rails": dict(self.rails) if self.rails is not None else None,
            "homes": {name: list(found) for name, found in sorted(self.homes.items())},
            "knowsHomes": self.knows_homes,
            "history": history_json(self.history),
        }

    @classmethod
    def from_json(cls, content: object) -> Memory:
        """Reads what `to_json` wrote; anything that is not as expected is left out rather than trusted."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return cls()
        version = content.get("version")
        return cls(
            document=_mapping(content.get("document")),
            version=version if isinstance(version, int) else 0,
            site=_mapping(content.get("site")),
            last_good=_mappings(content.get("wishes")),
            previous_good=_mappings(content.get("wishesBefore")),
            addresses=_lists_of_texts(content.get("addresses")),
            expired={str(k): str(v) for k, v in (_mapping(content.get("expired")) or {}).items()},
            since={
                str(k): Since(*(str(part) for part in v))
                for k, v in (_mapping(content.get("since")) or {}).items()
                if isinstance(v, list) and len(v) == 4
            },
            confirmed=_texts(content.get("confirmed")),
            held_before=_texts(content.get("heldBefore")),
            released=_texts(content.get("released")),
            removal_mark=_texts(content.get("removalMark")),
            held=_lists_of_texts(content.get("held")),
            rejected={
                str(name): tuple(entry for item in found if (entry := Rejection.from_json(item)) is not None)
                for name, found in (_mapping(content.get("rejected")) or {}).items()
                if isinstance(found, list)
            },
            identities=_texts(content.get("identities")),
            lives=_texts(content.get("lives")),
            pools=pools_from_json(content.get("pools")),
            rails=_pairs(content.get("rails")),
            homes=_lists_of_texts(content.get("homes")),
            knows_homes=content.get("knowsHomes") is True,
            history=history_from(content.get("history")),
        )


def _lists_of_texts(value: object) -> dict[str, tuple[str, ...]]:
    return {str(key): _texts(found) for key, found in (_mapping(value) or {}).items() if isinstance(found, list)}


def _mappings(value: object) -> dict[str, Mapping[str, Any]]:
    return {str(key): found for key, found in (_mapping(value) or {}).items() if isinstance(found, dict)}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, list) else ()


def _pairs(value: object) -> dict[str, str] | None:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else None


def _mapping(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _addresses(texts: tuple[str, ...]) -> tuple[Address, ...]:
    try:
        return tuple(sorted((parse_address(text) for text in texts), key=lambda address: address.version))
    except RuleError:
        return ()
