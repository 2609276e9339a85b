"""Addresses that the load balancer did not give to an exposure, and for how long that counts.

A rejection counts until the exposure's document, the pools, or who visibly holds the address change: asking again
before would cost an exposure that holds an address the one it has. It survives a restart in the state file.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.allocation.refused_ports import named_ports, with_ports
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key, ObservedService, Port, parse_known
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import Answer, values_about
from edge_expose_module.state.rejection import Rejection, Rejections

# An exposure without an address has nothing to lose: what was rejected is tried again after this time.
RETRY_SECONDS: Final = 600.0
# What somebody wrote into a Service of ours may have made the load balancer refuse; it may say so a moment later.
DRIFT_SECONDS: Final = 2.0
# A Service that lost its address after it asked for another one was refused, even when nobody says so.
SILENCE_SECONDS: Final = 2.0
# What is said of a refused request may come again, or late, once the next one is written; by then that one is answered.
LATE_SECONDS: Final = 1.0
# One of two Services that share an address may be refused until the load balancer has seen the key of the other one; so
# may a port, until it has seen who gave that up. A touch makes it look again, after two seconds.
TORN_SECONDS: Final = 3.5
_LITERAL: Final = re.compile(r"[0-9a-fA-F:.]+")


def circumstances(name: str, newest: Exposure | None, address: Address, observed: Observed, owner: str) -> str:
    """Of a rejection: the exposure as it is written now, the pools, and everybody who visibly has the address, but for
    our own under its sharing key: they come and go with it."""
    key = newest.share if newest is not None else None
    wanted = newest.model_dump_json() if newest is not None else ""
    pools = observed.load_balancer.pools
    holders = sorted(
        f"{service.key} {observed.sharing_key(service)} {sorted(service.ports)}"
        for service in observed.services.values()
        if address in service.assigned
        and service.exposure != name
        and not (key is not None and service.owned_by(owner) and observed.sharing_key(service) == key)
    )
    text = "\n".join([wanted, repr(pools), *holders])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_written(document: DesiredDocument, last_good: Mapping[str, Exposure]) -> Mapping[str, Exposure]:
    """The newest form of each exposure; where that cannot be read, the one that stands in for it."""
    return {name: last_good[name] for name in document.invalid if name in last_good} | dict(document.exposures)


def current(
    rejections: Rejections, exposures: Mapping[str, Exposure], observed: Observed, owner: str
) -> dict[str, dict[Address, Block]]:
    """Those that still count, by exposure and address."""
    found: dict[str, dict[Address, Block]] = {}
    for name, entries in rejections.items():
        for entry in entries:
            for address in parse_known([entry.address]):
                if entry.circumstances == circumstances(name, exposures.get(name), address, observed, owner):
                    found.setdefault(name, {})[address] = entry.block
    return found


@dataclass(frozen=True, slots=True)
class _Torn:
    """Since when a Service is refused, the first answer, and the form of its exposure then."""

    since: float
    said: str
    form: Exposure | None

    def is_final(self, answer: Answer, now: float) -> bool:
        """Whether a half is refused for good: asked again it got the same answer, or it waits so long that it was."""
        return answer.said != self.said or now - self.since >= TORN_SECONDS


class RejectionLog:
    """Learns from what the load balancer answers to the requests of our Services."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[Key, tuple[tuple[Address, ...], str]] = {}
        """The request last seen of a Service, and the newest answer that is not one to it."""
        self._contested: set[Key] = set()
        """Services that asked for an address which somebody in sight held: when it is refused, that one was the cause,
        and may have left since."""
        self._held: dict[Address, set[Key]] = {}
        """Who held what when we looked last."""
        self._said: dict[Key, str] = {}
        self._silent_since: dict[Key, float] = {}
        self._open: set[Key] = set()
        """Services that lacked what they asked for when we looked last."""
        self._listen_from: dict[Key, float] = {}
        """From when on what is said of a Service is about its present request."""
        self._drifted: dict[Key, float] = {}
        self._learned: dict[tuple[str, str], float] = {}
        self._claimed: dict[Key, tuple[Address, ...]] = {}
        """What Services ask for that a claim of their exposure had when they asked."""
        self._torn: dict[Key, _Torn] = {}
        """Services that were refused what the other Service of their exposure has, or a port where they were."""

    def learn(
        self,
        known: Rejections,
        exposures: Mapping[str, Exposure],
        holding: Mapping[str, tuple[Address, ...]],
        observed: Observed,
        owner: str,
        drifted: Iterable[Key],
    ) -> dict[str, tuple[Rejection, ...]]:
        """`known` brought up to date. `holding` are the addresses that exposures have, or had until they asked for
        others; `drifted` are Services that somebody else changed: what is said of those was not said of our request.
        """
        now = self._clock()
        self._drifted.update(dict.fromkeys(drifted, now))
        current_entries = self._still_counting(known, exposures, holding, observed, owner)
        services = observed.by_exposure(owner)
        given_to_all = _given_to_all(services)
        torn = {}
        self._note_claims(observed, owner)
        for service in observed.ours(owner):
            name = service.exposure or ""
            given = {str(a) for a in (service.assigned if service.is_claim else given_to_all.get(name, ()))}
            if given and name in current_entries:
                ours = frozenset(port for each in services.get(name, ()) for port in each.ports)
                left = (e for e in current_entries[name] if e.address not in given or _is_without(e, ours))
                current_entries[name] = tuple(left)
            answer = self._answer(service, name in holding, observed)
            if answer is None:
                continue
            for address in observed.requested(service):
                is_half = _is_held_by(name, address, observed, owner)
                is_held = address in holding.get(name, ())
                block = Block(answer.reason, answer.message, answer.values)
                ports = named_ports(block) if is_held and not service.is_claim else frozenset()
                if is_half or ports:
                    first = self._torn.get(service.key, _Torn(now, answer.said, exposures.get(name)))
                    if first.form != exposures.get(name):
                        first = _Torn(now, answer.said, exposures.get(name))  # the newest form was not asked for yet
                    torn[service.key] = first
                if ports:
                    if now - first.since < TORN_SECONDS or _is_ours(ports, address, observed, owner):
                        continue  # one of ours will give it up, or has, and the load balancer did not see that yet
                elif is_half:
                    could_share = address in self._claimed.get(service.key, ())
                    final = could_share or first.is_final(answer, now)
                    if service.is_claim or is_held or not final:
                        continue  # its twin waits until they may share: the address was not refused to the exposure
                entries = {entry.address: entry for entry in current_entries.get(name, ())}
                before = entries.get(str(address))
                so_far = named_ports(before.block) if before is not None else frozenset()
                # A refused port says nothing about the address, and that it was refused says more than a port.
                if before is not None and (ports <= so_far if ports else not so_far):
                    continue
                mark = circumstances(name, exposures.get(name), address, observed, owner)
                # The claim's name is in the load balancer's text, and nobody declared that.
                text = f"{address} was not given to a claim for it. " if service.is_claim else ""
                if is_half:
                    text = f"{address} was not given to its Service {service.name}, only to the other one. "
                block = replace(block, message=text + block.message)
                if service.is_claim and named_ports(block):
                    block = with_ports(block, ())  # what it publishes is nobody's wish
                elif ports:
                    block = with_ports(block, ports | so_far)
                entries[str(address)] = Rejection(str(address), block, mark)
                current_entries[name] = tuple(entries.values())
                self._learned[(name, str(address))] = now
        self._torn = torn
        self._held = {}
        for other in observed.services.values():
            for address in other.assigned:
                self._held.setdefault(address, set()).add(other.key)
        return {name: entries for name, entries in current_entries.items() if entries}

    def _note_claims(self, observed: Observed, owner: str) -> None:
        """A Service that follows a claim shares its address with that from the start: a refusal has another cause."""
        held = {claim.exposure: claim.assigned for claim in observed.claims(owner)}
        for service in observed.owned(owner):
            asked = observed.requested(service)
            if asked and held.get(service.exposure) == asked:
                self._claimed[service.key] = asked
            elif self._claimed.get(service.key) != asked:
                self._claimed.pop(service.key, None)

    def _still_counting(
        self,
        known: Rejections,
        exposures: Mapping[str, Exposure],
        holding: Collection[str],
        observed: Observed,
        owner: str,
    ) -> dict[str, tuple[Rejection, ...]]:
        now = self._clock()
        valid = current(known, exposures, observed, owner)
        found: dict[str, tuple[Rejection, ...]] = {}
        for name, entries in known.items():
            texts = {str(address) for address in valid.get(name, ())}
            kept = [entry for entry in entries if entry.address in texts]
            if name not in holding:
                kept = [e for e in kept if now - self._learned.setdefault((name, e.address), now) < RETRY_SECONDS]
            found[name] = tuple(kept)
        return found

    def _answer(self, service: ObservedService, is_holding: bool, observed: Observed) -> Answer | None:
        """What the load balancer says to the present request of a Service, if it is a refusal and about ours."""
        key, requested, now = service.key, observed.requested(service), self._clock()
        answer = observed.explanation(service)
        before = self._said.get(key, "")
        if answer is not None:
            self._said[key] = answer.said
        if self._asked.get(key, ((), ""))[0] != requested:
            self._asked[key] = (requested, before)
            self._silent_since.pop(key, None)
            self._listen_from[key] = now + LATE_SECONDS if key in self._open else now
            self._contested.discard(key)
            if any(self._held.get(address, set()) - {key} for address in requested):
                self._contested.add(key)
        if not requested or service.assigned == requested or not service.is_load_balancer:
            self._silent_since.pop(key, None)
            self._open.discard(key)
            return None
        self._open.add(key)
        silent_since = self._silent_since.setdefault(key, now)
        if requested != service.asked or self._is_held_by_other(service, requested, observed):
            return None
        if now - self._drifted.get(key, -DRIFT_SECONDS) < DRIFT_SECONDS:
            self._asked[key] = (requested, self._said.get(key, ""))
            return None
        if is_holding and now < self._listen_from.get(key, now):
            return None
        is_news = answer is not None and answer.said != self._asked[key][1]
        if answer is not None and is_news and key in self._contested:
            self._contested.discard(key)
            self._asked[key] = (requested, answer.said)
            return None
        if answer is not None and is_news and _may_be_about(answer, requested):
            return answer
        is_lost = is_holding and not service.assigned and not service.is_claim and key not in self._contested
        if is_lost and now - silent_since >= SILENCE_SECONDS:
            text = f"the load balancer took the address away when asked for {_texts(requested)}, and did not say why"
            values = values_about("AddressRefused", service, requested, observed.load_balancer.name)
            return Answer("AddressRefused", text, "", values)
        return None

    @staticmethod
    def _is_held_by_other(service: ObservedService, requested: tuple[Address, ...], observed: Observed) -> bool:
        """Whether somebody visible has it and does not share it with us: that is known without asking."""
        mine = observed.sharing_key(service)
        return any(
            (not mine or observed.sharing_key(other) != mine)
            for other in observed.services.values()
            if other.exposure != service.exposure and any(address in other.assigned for address in requested)
        )


def _is_held_by(name: str, address: Address, observed: Observed, owner: str) -> bool:
    return any(service.exposure == name and address in service.assigned for service in observed.owned(owner))


def _given_to_all(by_exposure: Mapping[str, Sequence[ObservedService]]) -> dict[str, frozenset[Address]]:
    """The addresses that every Service of an exposure has."""
    found: dict[str, frozenset[Address]] = {}
    for name, services in by_exposure.items():
        given = [frozenset(service.assigned) for service in services if service.is_load_balancer]
        found[name] = frozenset.intersection(*given) if given else frozenset()
    return found


def _is_ours(ports: frozenset[Port], address: Address, observed: Observed, owner: str) -> bool:
    """Whether another exposure of ours publishes these there."""
    return any(address in service.assigned and service.ports & ports for service in observed.ours(owner))


def _is_without(entry: Rejection, published: frozenset[Port]) -> bool:
    """A port is still refused while the address is given to a form without it."""
    ports = named_ports(entry.block)
    return bool(ports) and not ports & published


def _may_be_about(answer: Answer, requested: tuple[Address, ...]) -> bool:
    """An answer that names addresses, and none of those requested, is about an earlier request."""
    literals = (text for text in _LITERAL.findall(answer.message) if "." in text or ":" in text)
    named = parse_known(text.strip(".:") for text in literals)
    return not named or any(address in named for address in requested)


def _texts(addresses: Iterable[Address]) -> str:
    return ",".join(str(address) for address in addresses)
