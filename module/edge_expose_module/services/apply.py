"""Carries out a plan; a change that fails never stops the others.

What frees an address comes before what takes one: deletions, then changes, then what is new, each when all before are
done. Within each, what exposures do is independent, so several write side by side, and those of one exposure in order;
but who may give an address up and who may take it change one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, groupby
from typing import Any

from edge_expose_contract.reason_table import values_for
from edge_expose_contract.reasons import Reason
from edge_expose_module.cluster.api import (
    BY_KIND,
    Cluster,
    ClusterError,
    Conflict,
    Denied,
    NotFound,
    Refused,
    Rejected,
    Unauthorized,
    Unavailable,
)
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.services.outcome import Failure, Outcome
from edge_expose_module.services.plan import Change, Plan, Verb, touches_request

log = logging.getLogger(__name__)


def apply(cluster: Cluster, plan: Plan, writers: int = 1) -> dict[str, Outcome]:
    """The failures by exposure. A conflict or a vanished object is no failure: the next pass looks again."""
    outcomes: dict[str, Outcome] = {}

    def failed(failure: Failure, change: Change, message: str, reason: Reason, party: str = "") -> Outcome:
        services = frozenset([(change.namespace, change.name)])
        return Outcome(failure, message, reason, values_for(reason, _about(change, party)), services)

    def attempt(change: Change, act: Callable[[Cluster, Change], None]) -> Outcome | None:
        where = f"{change.kind} {change.namespace}/{change.name}"
        try:
            act(cluster, change)
        except Conflict as error:
            log.info("%s %s: conflict, will look again (%s)", change.verb, where, error)
            text = f"{change.verb} {where}: {error}"
            # Somebody else wrote meanwhile, and may again.
            return replace(failed(Failure.TRANSIENT, change, text, "ClusterUnavailable"), services=frozenset())
        except NotFound as error:
            if change.verb is not Verb.DELETE:
                # A missing namespace answers 404 to a create.
                return failed(Failure.REJECTED, change, f"{change.verb} {where}: {error}", "Rejected")
        except Denied as error:
            text = f"not allowed to {change.verb} {BY_KIND[change.kind].label} in {change.namespace}: {error}"
            return failed(Failure.DENIED, change, text, "RBACDenied")
        except Refused as error:
            return failed(Failure.REFUSED, change, f"{change.verb} {where}: {error}", error.reason, error.party)
        except Rejected as error:
            return failed(Failure.REJECTED, change, f"{change.verb} {where}: {error}", "Rejected")
        except (Unavailable, Unauthorized) as error:
            return failed(Failure.TRANSIENT, change, f"{change.verb} {where}: {error}", "ClusterUnavailable")
        except ClusterError as error:  # pragma: no cover - every kind is named above
            return failed(Failure.REJECTED, change, str(error), "Rejected")
        return None

    held_up: set[str] = set()
    moving = [change for change in plan.patches() if touches_request(change)]
    for all_or_none in (*([c for c in moving if c.exposure in group] for group in plan.together), *plan.rings):
        if len(all_or_none) < 2:
            continue
        refusal = next((found for c in all_or_none if (found := attempt(c, _rehearse_patch)) is not None), None)
        if refusal is not None:
            services = frozenset((change.namespace, change.name) for change in all_or_none)
            exposures = {change.exposure for change in all_or_none}
            outcomes.update(dict.fromkeys(exposures, replace(refusal, services=services)))
            held_up |= exposures

    def write(changes: Sequence[Change]) -> list[tuple[Change, Outcome | None]]:
        return [(change, attempt(change, _apply_one)) for change in changes]

    changes = [c for c in plan.changes if c.exposure not in held_up or c.kind != "Service" or c.verb is not Verb.PATCH]
    with ThreadPoolExecutor(writers, "write") as threads:
        for stage in _stages(changes):
            for change, outcome in chain.from_iterable(threads.map(write, stage)):
                if outcome is None:
                    log.info("%s %s %s/%s: %s", change.verb, change.kind, change.namespace, change.name, change.why)
                else:
                    other = outcomes.get(change.exposure, outcome)
                    told = other if outcome.failure is Failure.TRANSIENT else outcome
                    outcomes[change.exposure] = replace(told, services=other.services | outcome.services)
    for name, outcome in sorted(outcomes.items()):
        log.warning("exposure %s: %s", name, outcome.message)
    return outcomes


def _stages(changes: Iterable[Change]) -> Iterator[list[list[Change]]]:
    """Chains of changes that are made in order, beside those of the same stage."""
    for _, stage in groupby(changes, lambda change: change.verb):
        chains: dict[str, list[Change]] = {}
        for change in stage:
            chains.setdefault("" if _is_contested(change) else change.exposure, []).append(change)
        yield list(chains.values())


def _is_contested(change: Change) -> bool:
    """Whether it matters who asks the load balancer first."""
    if change.kind != "Service" or change.verb is Verb.DELETE:
        return False
    if change.verb is Verb.PATCH:
        return touches_request(change)
    return not ObservedService.of(change.body or {}).asked  # the load balancer chooses


def _about(change: Change, party: str) -> dict[str, object]:
    """What is known of the subject of a failure, by the names of values in the table of reasons."""
    return {
        "service": f"{change.namespace}/{change.name}",
        "verb": str(change.verb),
        "resource": BY_KIND[change.kind].label,
        "namespace": change.namespace,
        "quota": party,
        "policy": party,
        "webhook": party,
    }


def _apply_one(cluster: Cluster, change: Change) -> None:
    resource = BY_KIND[change.kind]
    match change.verb:
        case Verb.CREATE:
            cluster.create(resource, change.namespace, change.body or {})
        case Verb.PATCH:
            cluster.patch(resource, change.namespace, change.name, change.body or {})
        case Verb.DELETE:
            if change.body is not None:
                _rehearse(cluster, change.body)
            cluster.delete(resource, change.namespace, change.name, change.uid)


def _rehearse_patch(cluster: Cluster, change: Change) -> None:
    cluster.rehearse_patch(BY_KIND[change.kind], change.namespace, change.name, change.body or {})


def _rehearse(cluster: Cluster, body: Mapping[str, Any]) -> None:
    """Raises when what is to take a Service's place would not be accepted."""
    try:
        cluster.rehearse(BY_KIND[body["kind"]], body["metadata"]["namespace"], body)
    except NotFound as error:  # the namespace is not there
        raise Rejected(str(error)) from error
