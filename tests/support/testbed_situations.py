"""Situations in which the other load balancers say something: played on the real ones, to record it and to compare.

Each is a function that makes the situation in a namespace of its own and returns what was said, with the values that
differ between runs replaced by placeholders such as {address}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from support.testbed_balanced import BalancedCluster
from support.testbed_cilium import pool
from support.testbed_load_balancers import CILIUM, SERVICE_CONTROLLER
from support.testbed_service_controller import NODE
from support.waiting import eventually

Said = Mapping[str, str]
"""The fields of a condition or of an event."""
_KEY: Final = "io.cilium/lb-ipam-sharing-key"
_THEIRS: Final = {"matchLabels": {"team": "other"}}


@dataclass(frozen=True, slots=True)
class Situation:
    """`given` says in one sentence what the Service asks for and what stands in its way."""

    id: str
    given: str
    play: Callable[[BalancedCluster, str], Said]


def _condition(cluster: BalancedCluster, namespace: str, name: str, status: str, **values: str) -> Said:
    return _without(cluster.condition(namespace, name, status), values)


def _event(cluster: BalancedCluster, namespace: str, name: str, reason: str, **values: str) -> Said:
    return _without(cluster.event(namespace, name, reason), values)


def _without(said: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """What was said, with these values replaced by their names."""
    text = dict(said)
    for name, value in sorted(values.items(), key=lambda item: -len(item[1])):
        text["message"] = text["message"].replace(value, f"{{{name}}}")
    return text


# -- Cilium ---------------------------------------------------------------------------------------------------


def _chosen(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one")
    return _condition(cluster, ns, "one", "True")


def _granted(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    return _condition(cluster, ns, "one", "True")


def _in_no_pool(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(99))
    return _condition(cluster, ns, "one", "False", address=cluster.ip(99))


def _moved_to_no_pool(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    cluster.ask(ns, "one", cluster.ip(99))
    return _condition(cluster, ns, "one", "False", address=cluster.ip(99))


def _selector(cluster: BalancedCluster, ns: str) -> Said:
    cluster.cilium.put_pool(pool("theirs", cluster.range(50, 55), serviceSelector=_THEIRS))
    cluster.balance(ns, "one", cluster.ip(50))
    return _condition(cluster, ns, "one", "False", address=cluster.ip(50))


def _taken(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "holder", cluster.ip(12))
    cluster.wait_address(ns, "holder", cluster.ip(12))
    cluster.balance(ns, "one", cluster.ip(12), port=9090)
    return _condition(cluster, ns, "one", "False", address=cluster.ip(12))


def _shared(
    holder: str, mine: str, *, port: int = 9090, protocol: str = "TCP", elsewhere: bool = False
) -> Callable[[BalancedCluster, str], Said]:
    def play(cluster: BalancedCluster, ns: str) -> Said:
        there = cluster.namespace() if elsewhere else ns
        cluster.balance(there, "holder", cluster.ip(12), annotations={_KEY: holder})
        cluster.wait_address(there, "holder", cluster.ip(12))
        cluster.balance(ns, "one", cluster.ip(12), port=port, protocol=protocol, annotations={_KEY: mine})
        return _condition(cluster, ns, "one", "False", address=cluster.ip(12))

    return play


def _sharing(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "holder", cluster.ip(12), annotations={_KEY: "k"})
    cluster.wait_address(ns, "holder", cluster.ip(12))
    cluster.balance(ns, "one", cluster.ip(12), port=9090, annotations={_KEY: "k"})
    cluster.wait_address(ns, "one", cluster.ip(12))
    return _condition(cluster, ns, "one", "True")


def _full(cluster: BalancedCluster, ns: str) -> Said:
    cluster.real.balancer.set_pool(cluster.range(10, 11))
    for name in ("a", "b"):
        cluster.balance(ns, name)
        cluster.wait_address(ns, name)
    cluster.balance(ns, "one")
    return _condition(cluster, ns, "one", "False")


def _no_pool_for_it(cluster: BalancedCluster, ns: str) -> Said:
    cluster.cilium.put_pool(pool("theirs", cluster.range(50, 55), serviceSelector=_THEIRS))
    cluster.cilium.delete_pool("p")
    cluster.until_refused(ns)
    cluster.balance(ns, "one")
    return _condition(cluster, ns, "one", "False")


def _pool_disabled(cluster: BalancedCluster, ns: str) -> Said:
    cluster.cilium.put_pool(pool("p", cluster.range(10, 20), disabled=True))
    cluster.until_refused(ns)
    cluster.balance(ns, "one")
    return _condition(cluster, ns, "one", "False")


def _pool_disabled_asked(cluster: BalancedCluster, ns: str) -> Said:
    cluster.cilium.put_pool(pool("p", cluster.range(10, 20), disabled=True))
    cluster.until_refused(ns)
    cluster.balance(ns, "one", cluster.ip(12))
    return _condition(cluster, ns, "one", "False", address=cluster.ip(12))


# -- the service controller -----------------------------------------------------------------------------------


def _ensuring(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one")
    return _event(cluster, ns, "one", "EnsuringLoadBalancer")


def _ensured(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    return _event(cluster, ns, "one", "EnsuredLoadBalancer")


def _refused(cluster: BalancedCluster, ns: str, **values: str) -> Said:
    return _event(cluster, ns, "one", "SyncLoadBalancerFailed", **values)


def _bounds(cluster: BalancedCluster) -> dict[str, str]:
    return {"first": cluster.ip(10), "last": cluster.ip(20)}


def _outside(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(99))
    return _refused(cluster, ns, address=cluster.ip(99), **_bounds(cluster))


def _in_use(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "holder", cluster.ip(12))
    cluster.wait_address(ns, "holder", cluster.ip(12))
    cluster.balance(ns, "one", cluster.ip(12), port=9090)
    return _refused(cluster, ns, address=cluster.ip(12))


def _moved_outside(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    cluster.ask(ns, "one", cluster.ip(99))
    return _refused(cluster, ns, address=cluster.ip(99), **_bounds(cluster))


def _no_address(cluster: BalancedCluster, ns: str) -> Said:
    cluster.balance(ns, "one", "not-an-address")
    return _refused(cluster, ns, address="not-an-address")


def _range_full(cluster: BalancedCluster, ns: str) -> Said:
    cluster.real.balancer.set_pool(cluster.range(10, 11))
    for name in ("a", "b"):
        cluster.balance(ns, name)
        cluster.wait_address(ns, name)
    cluster.balance(ns, "one")
    return _refused(cluster, ns, first=cluster.ip(10), last=cluster.ip(11))


def _no_nodes(cluster: BalancedCluster, ns: str) -> Said:
    cluster.service_controller.delete_node()
    eventually(lambda: cluster.call("GET", f"/api/v1/nodes/{NODE}").status == 404, what="no node")
    try:
        # The controller hears of it a moment later: until then it goes on without a word.
        numbers = iter(range(1, 1000))

        def said() -> Said:
            name = f"n{next(numbers)}"
            cluster.balance(ns, name)
            cluster.event(ns, name, "EnsuredLoadBalancer")
            found = [one for one in cluster.events(ns, name) if one["reason"] == "UnAvailableLoadBalancer"]
            cluster.delete(ns, name)
            return _event(cluster, ns, name, "UnAvailableLoadBalancer") if found else {}

        return eventually(said, what="the controller knows of no node")
    finally:
        cluster.service_controller.put_node()


def _deleted(reason: str) -> Callable[[BalancedCluster, str], Said]:
    def play(cluster: BalancedCluster, ns: str) -> Said:
        cluster.balance(ns, "one")
        cluster.wait_address(ns, "one")
        cluster.delete(ns, "one")
        return _event(cluster, ns, "one", reason)

    return play


SITUATIONS: Final[Mapping[str, tuple[Situation, ...]]] = {
    CILIUM: (
        Situation("chosen", "A Service asks for no address and gets one.", _chosen),
        Situation("granted", "A Service asks for a free address of a pool.", _granted),
        Situation(
            "shared", "A Service asks for an address that another of the same key and other ports has.", _sharing
        ),
        Situation("in-no-pool", "A Service asks for an address that no pool contains.", _in_no_pool),
        Situation("moved-to-no-pool", "A Service that has an address asks for one in no pool.", _moved_to_no_pool),
        Situation("pool-selects-others", "The pool with the asked address does not select the Service.", _selector),
        Situation("taken", "Another Service without a sharing key has the asked address.", _taken),
        Situation("other-key", "The holder of the asked address has another sharing key.", _shared("k", "other")),
        Situation("port-clash", "The holder has the same key and the same port.", _shared("k", "k", port=8080)),
        Situation(
            "port-clash-other-protocol",
            "The holder has the same key and the same port of the other protocol.",
            _shared("k", "k", port=8080, protocol="UDP"),
        ),
        Situation(
            "other-namespace", "The holder has the same key in another namespace.", _shared("k", "k", elsewhere=True)
        ),
        Situation("full", "A Service asks for no address and no pool has a free one.", _full),
        Situation("no-pool-for-it", "A Service asks for no address and no pool selects it.", _no_pool_for_it),
        Situation("pool-disabled", "A Service asks for no address and the only pool is disabled.", _pool_disabled),
        Situation("asked-of-disabled-pool", "A Service asks for an address of a disabled pool.", _pool_disabled_asked),
    ),
    SERVICE_CONTROLLER: (
        Situation("ensuring", "A Service is looked at.", _ensuring),
        Situation("ensured", "A Service has the address that it asks for.", _ensured),
        Situation("taken", "Another Service has the asked address.", _in_use),
        Situation("outside", "A Service asks for an address outside the cloud's range.", _outside),
        Situation("moved-outside", "A Service that has an address asks for one outside the range.", _moved_outside),
        Situation("not-an-address", "A Service asks for something that is no address.", _no_address),
        Situation("full", "A Service asks for no address and the range has no free one.", _range_full),
        Situation("no-nodes", "The cluster has no node.", _no_nodes),
        Situation("deleting", "A Service is deleted.", _deleted("DeletingLoadBalancer")),
        Situation("deleted", "The load balancer of a deleted Service is gone.", _deleted("DeletedLoadBalancer")),
    ),
}
FILES: Final = {CILIUM: "cilium-1.15.19", SERVICE_CONTROLLER: "service-controller-0.36.3"}
"""The recording of each load balancer."""
