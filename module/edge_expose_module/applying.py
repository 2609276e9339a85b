"""Carries out a plan, change by change; one that fails never stops the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from edge_expose_contract.reason_table import values_for
from edge_expose_contract.reasons import Reason
from edge_expose_module.assessing import Failure, Outcome
from edge_expose_module.clusterapi import (
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
from edge_expose_module.planning import Change, Plan, Verb

log = logging.getLogger(__name__)


def apply(cluster: Cluster, plan: Plan) -> dict[str, Outcome]:
    """The failures by exposure. A conflict or a vanished object is no failure: the next pass looks again."""
    outcomes: dict[str, Outcome] = {}

    def failed(failure: Failure, change: Change, message: str, reason: Reason, party: str = "") -> Outcome:
        return Outcome(failure, message, reason, values_for(reason, _about(change, party)))

    for change in plan.changes:
        where = f"{change.kind} {change.namespace}/{change.name}"
        try:
            _apply_one(cluster, change)
            log.info("%s %s: %s", change.verb, where, change.why)
        except Conflict as error:
            log.info("%s %s: conflict, will look again (%s)", change.verb, where, error)
            text = f"{change.verb} {where}: {error}"
            outcomes.setdefault(change.exposure, failed(Failure.TRANSIENT, change, text, "ClusterUnavailable"))
        except NotFound as error:
            if change.verb is not Verb.DELETE:
                # A missing namespace answers 404 to a create.
                text = f"{change.verb} {where}: {error}"
                outcomes[change.exposure] = failed(Failure.REJECTED, change, text, "Rejected")
        except Denied as error:
            text = f"not allowed to {change.verb} {BY_KIND[change.kind].label} in {change.namespace}: {error}"
            outcomes[change.exposure] = failed(Failure.DENIED, change, text, "RBACDenied")
        except Refused as error:
            text = f"{change.verb} {where}: {error}"
            outcomes[change.exposure] = failed(Failure.REFUSED, change, text, error.reason, error.party)
        except Rejected as error:
            text = f"{change.verb} {where}: {error}"
            outcomes[change.exposure] = failed(Failure.REJECTED, change, text, "Rejected")
        except (Unavailable, Unauthorized) as error:
            text = f"{change.verb} {where}: {error}"
            outcomes.setdefault(change.exposure, failed(Failure.TRANSIENT, change, text, "ClusterUnavailable"))
        except ClusterError as error:  # pragma: no cover - every kind is named above
            outcomes[change.exposure] = failed(Failure.REJECTED, change, str(error), "Rejected")
    for name, outcome in sorted(outcomes.items()):
        log.warning("exposure %s: %s", name, outcome.message)
    return outcomes


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


def _rehearse(cluster: Cluster, body: Mapping[str, Any]) -> None:
    """Raises when what is to take a Service's place would not be accepted."""
    try:
        cluster.rehearse(BY_KIND[body["kind"]], body["metadata"]["namespace"], body)
    except NotFound as error:  # the namespace is not there
        raise Rejected(str(error)) from error
