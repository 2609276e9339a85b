"""What the module does on a cluster: the real controller and the real adapter, with the shipped rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.eye import Eye
from support.testbed_module import ModuleBench
from support.waiting import eventually


@pytest.fixture
def module(cluster, tmp_path: Path) -> Iterator[ModuleBench]:
    bench = ModuleBench(cluster, cluster.namespace(), tmp_path)
    yield bench
    bench.remove_rights()


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=w"], "ports": ["8080:80"], **more}


def merge(bench: ModuleBench, name: str, patch: dict[str, Any]) -> None:
    answer = bench.handle.merge(f"/api/v1/namespaces/{bench.namespace}/services/{name}", patch)
    assert answer.status == 200, answer


def test_an_exposure_becomes_a_service_with_the_address_it_asked_for(cluster, module) -> None:
    wanted = f"{cluster.base}.15"
    module.desire({"web": web(address=wanted)})
    module.until("web", "Pending", wanted, "SelectorMatchesNothing")
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    entry = module.until("web", "Ready", wanted)
    assert entry["service"] == f"{module.namespace}/web"
    assert entry["endpoints"] == 1
    assert module.twin.reported["cluster"]["api"] == "ok"
    kind = "MetalLB/CRD" if cluster.profile == "1.36" else "MetalLB/ConfigMap"
    assert module.twin.reported["cluster"]["loadBalancer"] == kind
    assert module.twin.reported["pool"]["ranges"] == f"{cluster.base}.10-{cluster.base}.20"
    assert module.is_quiet()


def test_a_chosen_address_is_pinned_and_survives_the_service(cluster, module) -> None:
    module.desire({"web": web()})
    module.until("web", "Pending", f"{cluster.base}.10")
    module.run()
    assert module.service("web")["spec"]["loadBalancerIP"] == f"{cluster.base}.10"
    other = cluster.namespace()
    cluster.balancer(other, "low", {"loadBalancerIP": f"{cluster.base}.11"})
    cluster.wait_address(other, "low")
    cluster.call("DELETE", f"/api/v1/namespaces/{module.namespace}/services/web")
    module.restart()
    module.until("web", "Pending", f"{cluster.base}.10")


def test_drift_is_repaired_and_what_the_cluster_owns_is_kept(module) -> None:
    module.desire({"web": web(ports=["8080:80", "8443:443"])})
    module.until("web", "Pending")
    module.run()
    before = module.service("web")
    merge(
        module,
        "web",
        {
            "metadata": {"annotations": {"example.com/note": "kept"}},
            "spec": {
                "selector": {"app": "other"},
                "sessionAffinity": "ClientIP",
                "ports": [*before["spec"]["ports"], {"name": "more", "port": 9999}],
            },
        },
    )
    module.until_true(lambda: module.service("web")["spec"]["selector"] == {"app": "w"}, "the selector is back")
    after = module.service("web")
    assert after["spec"]["ports"] == before["spec"]["ports"]
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["spec"]["sessionAffinity"] == "None"
    assert after["metadata"]["annotations"]["example.com/note"] == "kept"
    assert module.is_quiet()


def test_a_changed_port_keeps_the_node_ports_of_the_others(module) -> None:
    module.desire({"web": web(ports=["8080:80", "8443:443"])})
    module.until("web", "Pending")
    before = {port["port"]: port["nodePort"] for port in module.service("web")["spec"]["ports"]}
    module.desire({"web": web(ports=["8081:80", "8443:443"])})
    module.until_true(lambda: {p["port"] for p in module.service("web")["spec"]["ports"]} == {8081, 8443}, "the port")
    after = {port["port"]: port["nodePort"] for port in module.service("web")["spec"]["ports"]}
    assert after[8443] == before[8443]


def test_a_service_made_by_kubectl_is_left_alone_until_it_may_be_adopted(cluster, module) -> None:
    spec = {"selector": {"app": "w"}, "ports": [{"port": 8080, "targetPort": 80}]}
    cluster.balancer(module.namespace, "web", spec)
    address = cluster.wait_address(module.namespace, "web")
    module.desire({"web": web()})
    module.until("web", "Blocked", reason="ForeignService")
    assert "app.kubernetes.io/managed-by" not in (module.service("web")["metadata"].get("labels") or {})
    module.desire({"web": web(adopt=True)})
    module.until("web", "Blocked", reason="AdoptNotAllowed")
    owner = {"metadata": {"name": "edge-expose-guard-rails"}, "data": {"ALLOW_ADOPT": "true"}}
    assert cluster.call("POST", f"/api/v1/namespaces/{module.namespace}/configmaps", owner).status == 201
    module.until("web", "Pending", address)
    module.run()
    adopted = module.service("web")
    assert adopted["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "edge-expose"
    assert adopted["spec"]["loadBalancerIP"] == address
    assert cluster.address(module.namespace, "web") == address


def test_tcp_and_udp_of_one_exposure_share_one_address(cluster, module) -> None:
    module.desire({"dns": web(ports=["53:53/tcp", "53:53/udp"])})
    entry = module.until_true(
        lambda: (
            module.twin.reported["exposures"]["dns"].get("address")
            and cluster.address(module.namespace, "dns-udp")
            and module.twin.reported["exposures"]["dns"]
        ),
        "both have an address",
    )
    both = {cluster.address(module.namespace, name) for name in ("dns", "dns-udp")}
    assert both == {entry["address"]}
    assert module.service("dns")["spec"]["ports"][0]["protocol"] == "TCP"
    assert module.service("dns-udp")["spec"]["ports"][0]["protocol"] == "UDP"
    module.run()
    assert module.is_quiet()


def test_a_cluster_ip_exposure_is_one_service_with_both_protocols(cluster, module) -> None:
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"dns": web(type="ClusterIP", ports=["53:53/tcp", "53:53/udp"])})
    module.until("dns", "Ready")
    found = {(port["port"], port["protocol"]) for port in module.service("dns")["spec"]["ports"]}
    assert found == {(53, "TCP"), (53, "UDP")}
    assert module.service("dns-udp") == {}


def test_the_endpoints_that_the_cluster_keeps_are_left_to_it(cluster, module) -> None:
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"web": web()})
    module.until("web", "Ready")
    path = f"/api/v1/namespaces/{module.namespace}/endpoints/web"
    uid = eventually(lambda: cluster.call("GET", path).body["metadata"].get("uid"), what="the Endpoints")
    for _ in range(4):
        module.run()
        assert cluster.call("GET", path).body["metadata"].get("uid") == uid
        assert module.exposure("web")["state"] == "Ready"


def test_an_exposure_goes_from_pods_to_given_addresses_and_back(cluster, module) -> None:
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"web": web()})
    module.until("web", "Ready")

    def reached() -> set[str]:
        found = cluster.call("GET", f"/api/v1/namespaces/{module.namespace}/endpoints/web").body
        return {address["ip"] for subset in found.get("subsets") or [] for address in subset.get("addresses") or []}

    def sliced() -> set[str]:
        version = "v1" if cluster.profile == "1.36" else "v1beta1"
        path = f"/apis/discovery.k8s.io/{version}/namespaces/{module.namespace}/endpointslices"
        found = cluster.call("GET", f"{path}?labelSelector=kubernetes.io/service-name%3Dweb").body["items"]
        return {address for piece in found for entry in piece.get("endpoints") or [] for address in entry["addresses"]}

    module.desire({"web": {"endpoints": ["10.20.30.40"], "ports": ["8080:80"]}})
    module.until_true(lambda: "10.20.30.40" in sliced() and "10.244.7.7" not in sliced(), "the given address")
    if cluster.profile == "1.20":
        assert reached() == {"10.20.30.40"}
    module.until("web", "Ready")
    module.desire({"web": web()})
    module.until_true(lambda: sliced() == {"10.244.7.7"}, "the pod again")
    module.until("web", "Ready")


def test_addresses_outside_the_cluster_become_endpoints(cluster, module) -> None:
    module.desire({"vm": {"endpoints": ["10.20.30.40"], "ports": ["8080:80"]}})
    module.until("vm", "Ready")
    assert "selector" not in module.service("vm")["spec"]
    if cluster.profile == "1.36":
        path = f"/apis/discovery.k8s.io/v1/namespaces/{module.namespace}/endpointslices"
        found = cluster.call("GET", f"{path}?labelSelector=kubernetes.io/service-name%3Dvm").body["items"]
        assert [e["addresses"] for piece in found for e in piece["endpoints"]] == [["10.20.30.40"]]
    else:
        found = cluster.call("GET", f"/api/v1/namespaces/{module.namespace}/endpoints/vm").body
        assert found["subsets"][0]["addresses"][0]["ip"] == "10.20.30.40"
    module.desire({"vm": {"endpoints": ["10.20.30.41"], "ports": ["8080:80"]}})
    module.run()
    module.until("vm", "Ready")
    assert module.is_quiet()
    module.desire({})
    module.until_true(lambda: module.service("vm") == {}, "the Service is gone")


def test_a_full_range_blocks_the_last_one_until_there_is_more_room(cluster, module) -> None:
    cluster.set_pool(f"{cluster.base}.10-{cluster.base}.11")
    module.desire({name: web() for name in ("a", "b", "c")})
    module.until("c", "Blocked", reason="PoolExhausted")
    module.until("a", "Pending", f"{cluster.base}.10")
    module.until("b", "Pending", f"{cluster.base}.11")
    assert module.twin.reported["pool"]["free"] == 0
    cluster.set_pool(f"{cluster.base}.10-{cluster.base}.12")
    module.until("c", "Pending", f"{cluster.base}.12")
    assert cluster.address(module.namespace, "a") == f"{cluster.base}.10"


def test_an_address_outside_the_pool_is_not_asked_for_and_the_held_one_stays(cluster, module) -> None:
    module.desire({"web": web(address=f"{cluster.base}.12")})
    module.until("web", "Pending", f"{cluster.base}.12")
    module.desire({"web": web(address=f"{cluster.base}.99")})
    module.until("web", "Blocked", f"{cluster.base}.12", "AddressOutsideRange")
    assert cluster.address(module.namespace, "web") == f"{cluster.base}.12"


def test_an_address_that_a_foreign_service_holds_is_not_asked_for(cluster, module) -> None:
    other = cluster.namespace()
    cluster.balancer(other, "holder", {"loadBalancerIP": f"{cluster.base}.12"})
    cluster.wait_address(other, "holder", f"{cluster.base}.12")
    module.desire({"web": web(address=f"{cluster.base}.12")})
    module.until("web", "Blocked", reason="AddressTaken")
    assert module.service("web") == {}


def test_two_exposures_share_an_address_by_a_key(cluster, module) -> None:
    wanted = f"{cluster.base}.14"
    module.desire(
        {
            "one": web(ports=["80:80"], share="front", address=wanted),
            "two": web(ports=["443:443"], share="front", address=wanted),
        }
    )
    module.until("one", "Pending", wanted)
    module.until("two", "Pending", wanted)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param((80, 81), (81, 82), id="one takes what the other gives up"),
        pytest.param((80, 81), (81, 80), id="exchange"),
        pytest.param((80, 81, 82), (81, 82, 80), id="ring"),
    ],
)
def test_ports_of_a_shared_address_change_hands(cluster, module, first, then) -> None:
    wanted = f"{cluster.base}.14"
    names = "abc"[: len(first)]

    def group(ports: tuple[int, ...]) -> dict[str, Any]:
        pairs = zip(names, ports, strict=True)
        return {name: web(ports=[f"{port}:80"], share="front", address=wanted) for name, port in pairs}

    def published() -> tuple[int, ...]:
        return tuple(module.service(name)["spec"]["ports"][0]["port"] for name in names)

    module.desire(group(first))
    for name in names:
        module.until(name, "Pending", wanted, "SelectorMatchesNothing")
    with ExitStack() as stack:
        eyes = [stack.enter_context(Eye(module, name)) for name in names]
        module.desire(group(then))
        module.until_true(lambda: published() == then and module.is_quiet(), "the ports changed hands")
    assert [eye.addresses for eye in eyes] == [[wanted]] * len(names)


def test_a_pair_takes_the_udp_port_once_its_udp_service_is_gone(cluster, module) -> None:
    wanted = f"{cluster.base}.14"
    module.desire({"web": web(ports=["53/tcp", "53/udp"], address=wanted)})
    module.until("web", "Pending", wanted, "SelectorMatchesNothing")
    second = f"{cluster.services(module.namespace)}/web-udp"
    assert cluster.merge(second, {"metadata": {"finalizers": ["example.org/cleanup"]}}).status == 200
    with Eye(module, "web") as eye:
        module.desire({"web": web(ports=["53/udp"], address=wanted)})
        module.until("web", "Pending", wanted, "ServiceTerminating")
        module.run()
        assert cluster.merge(second, {"metadata": {"finalizers": None}}).status == 200
        module.until("web", "Pending", wanted, "SelectorMatchesNothing")
        module.until_true(lambda: published(module) == [("UDP", 53)] and module.is_quiet(), "the port is taken over")
    assert eye.addresses == [wanted]


def published(module) -> list[tuple[str, int]]:
    return [(port["protocol"], port["port"]) for port in module.service("web")["spec"]["ports"]]


@pytest.mark.parametrize(
    ("more", "spec"),
    [
        pytest.param({"sessionAffinity": "ClientIP"}, {"sessionAffinity": "ClientIP"}, id="session affinity"),
        pytest.param({"allowFrom": ["10.0.0.0/8"]}, {"loadBalancerSourceRanges": ["10.0.0.0/8"]}, id="allowed sources"),
        pytest.param({"externalTrafficPolicy": "Local"}, {"externalTrafficPolicy": "Local"}, id="client address kept"),
    ],
)
def test_what_an_exposure_says_reaches_the_service_and_leaves_it_again(module, more, spec) -> None:
    module.desire({"web": web(**more)})
    module.until("web", "Pending")
    found = module.service("web")["spec"]
    assert {key: found[key] for key in spec} == spec
    module.run()
    assert module.is_quiet()
    module.desire({"web": web()})
    module.run()
    assert {key: module.service("web")["spec"].get(key) for key in spec} != spec
    module.run()
    assert module.is_quiet()


def test_going_from_outside_to_inside_and_back_keeps_the_pin(cluster, module) -> None:
    module.desire({"web": web(address=f"{cluster.base}.13")})
    module.until("web", "Pending", f"{cluster.base}.13")
    module.desire({"web": web(type="ClusterIP")})
    module.until_true(lambda: not cluster.address(module.namespace, "web"), "the address is given back")
    module.desire({"web": web(address=f"{cluster.base}.13")})
    module.until("web", "Pending", f"{cluster.base}.13")


def test_a_withdrawn_exposure_takes_its_services_along_and_nothing_else(cluster, module) -> None:
    module.desire({"web": web(), "dns": web(ports=["53:53/tcp", "53:53/udp"])})
    module.until("web", "Pending")
    module.until_true(lambda: module.service("dns-udp"), "the second Service")
    cluster.call(
        "POST", cluster.services(module.namespace), {"metadata": {"name": "theirs"}, "spec": {"ports": [{"port": 1}]}}
    )
    module.desire({"web": web()})
    module.until_true(lambda: not module.service("dns") and not module.service("dns-udp"), "both are gone")
    assert module.service("web")
    assert module.service("theirs")
    assert set(module.twin.reported["exposures"]) == {"web"}


def test_after_a_power_cut_of_the_cluster_nothing_moves(cluster, module) -> None:
    module.desire({"a": web(), "b": web(), "c": web(address=f"{cluster.base}.19")})
    before = {}
    for name in "abc":
        module.until(name, "Pending")
        before[name] = cluster.wait_address(module.namespace, name)
    module.run()
    cluster.restart()
    module.restart()
    for name in "abc":
        module.until(name, "Pending", before[name])
    assert {name: cluster.address(module.namespace, name) for name in "abc"} == before


def test_a_pool_that_moves_away_says_so_and_comes_back_with_the_same_addresses(cluster, module) -> None:
    module.desire({"web": web(address=f"{cluster.base}.12")})
    module.until("web", "Pending", f"{cluster.base}.12")
    cluster.set_pool(f"{cluster.base}.50-{cluster.base}.60", must_load=False)
    if cluster.profile == "1.20":
        # MetalLB 0.10.3 rejects a pool that leaves a held address out, and goes on with the one before.
        module.until_true(lambda: module.twin.reported["pool"].get("reason") == "PoolInvalid", "it says so")
        assert f"{cluster.base}.12" in module.twin.reported["pool"]["message"]
        assert cluster.address(module.namespace, "web") == f"{cluster.base}.12"
    else:
        module.until("web", "Blocked", reason="AddressOutsideRange")
    cluster.set_pool(f"{cluster.base}.10-{cluster.base}.20")
    module.until("web", "Pending", f"{cluster.base}.12")
    module.until_true(lambda: "reason" not in module.twin.reported["pool"], "all is well again")


def addresses(cluster, module, names: str) -> dict[str, str | None]:
    return {name: cluster.address(module.namespace, name) for name in names}


def test_a_wish_that_cannot_be_granted_loses_nothing(cluster, module) -> None:
    module.desire({"a": web(address=f"{cluster.base}.15"), "b": web()})
    module.until("b", "Pending", f"{cluster.base}.10")
    before = addresses(cluster, module, "ab")
    for more in (
        {"pool": "nope"},
        {"annotations": ["metallb.io/address-pool=nope"]},
        {"address": f"{cluster.base}.99"},
    ):
        module.desire({"a": {**web(address=f"{cluster.base}.15"), **more}, "b": {**web(), **more}})
        module.until("a", "Blocked")
        module.until("b", "Blocked")
        module.run()
        assert addresses(cluster, module, "ab") == before, more
    module.desire({"a": web(address=f"{cluster.base}.15"), "b": web()})
    module.until("b", "Pending", f"{cluster.base}.10", "SelectorMatchesNothing")
    assert addresses(cluster, module, "ab") == before


def test_a_hand_made_request_is_taken_back(cluster, module) -> None:
    module.desire({"a": web(), "b": web()})
    module.until("b", "Pending", f"{cluster.base}.11")
    module.run()
    before = addresses(cluster, module, "ab")
    for patch in (
        {"spec": {"loadBalancerIP": f"{cluster.base}.14"}},
        {"metadata": {"annotations": {"metallb.universe.tf/address-pool": "nope", "metallb.io/address-pool": "nope"}}},
    ):
        merge(module, "b", patch)
        module.until_true(lambda: "address-pool" not in str(module.service("b")["metadata"]["annotations"]), "undone")
        module.until_true(lambda: addresses(cluster, module, "ab") == before, "the address of before")
        module.until_true(lambda: module.service("b-claim") == {}, "the claim is gone")
        assert module.is_quiet()


def test_whoever_leaves_a_sharing_group_leaves_its_address_too(cluster, module) -> None:
    group = {name: web(ports=[f"{port}:80"], share="k") for name, port in zip("abc", (80, 81, 82), strict=True)}
    module.desire(group)
    module.until("c", "Pending", f"{cluster.base}.10")
    module.desire({**group, "a": web(ports=["80:80"])})
    module.until("a", "Pending", f"{cluster.base}.11", "SelectorMatchesNothing")
    assert addresses(cluster, module, "bc") == dict.fromkeys("bc", f"{cluster.base}.10")


def test_fixed_addresses_change_places_and_a_group_changes_its_key(cluster, module) -> None:
    here, there = f"{cluster.base}.15", f"{cluster.base}.16"
    module.desire({"a": web(address=here), "b": web(address=there)})
    module.until("b", "Pending", there)
    module.desire({"a": web(address=there), "b": web(address=here)})
    module.until("a", "Pending", there, "SelectorMatchesNothing")
    module.until("b", "Pending", here, "SelectorMatchesNothing")
    group = {name: web(ports=[f"{port}:80"], share="k") for name, port in zip("ab", (80, 81), strict=True)}
    module.desire(group)

    def shared() -> set[str | None]:
        found = set(addresses(cluster, module, "ab").values())
        return found if len(found) == 1 and all(found) and module.is_quiet() else set()

    before = module.until_true(shared, "one address")
    module.desire({name: {**exposure, "share": "other"} for name, exposure in group.items()})
    module.until_true(lambda: shared() == before, "the same address")


def test_a_service_that_cannot_come_back_elsewhere_stays(cluster, module) -> None:
    module.desire({"web": web()})
    module.until("web", "Pending", f"{cluster.base}.10")
    uid = module.service("web")["metadata"]["uid"]
    module.desire({"web": web(namespace=f"{module.namespace}-typo")})
    module.run(3)
    assert module.service("web")["metadata"]["uid"] == uid
    assert module.service("web")["status"]["loadBalancer"]["ingress"][0]["ip"] == f"{cluster.base}.10"
    assert module.twin.reported["exposures"]["web"]["state"] in ("Failed", "Blocked")


def test_node_ports_of_an_exposure_with_sources_go_where_the_cluster_can_do_without(cluster, module) -> None:
    def node_ports() -> list[int]:
        return [port["nodePort"] for port in module.service("web")["spec"]["ports"] if port.get("nodePort")]

    module.desire({"web": web()})
    address = module.until_true(lambda: cluster.address(module.namespace, "web"), "an address")
    module.run()
    assert node_ports()
    module.desire({"web": web(allowFrom=["10.1.0.0/16"])})
    module.until_true(lambda: module.service("web")["spec"].get("loadBalancerSourceRanges"), "the sources")
    module.run()
    if cluster.profile == "1.36":
        assert node_ports() == []
        assert module.service("web")["spec"]["allocateLoadBalancerNodePorts"] is False
    else:
        assert node_ports()
        assert "node ports of web answer everybody" in " ".join(module.twin.reported["warnings"])
    assert module.is_quiet()
    assert cluster.address(module.namespace, "web") == address
    module.desire({"web": web(type="ClusterIP")})
    module.until_true(lambda: module.service("web")["spec"]["type"] == "ClusterIP", "a ClusterIP Service")


def test_a_copy_of_our_labels_in_a_namespace_of_somebody_else_counts_for_nothing(cluster, module) -> None:
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"web": web()})
    before = module.until("web", "Ready", f"{cluster.base}.10")
    ours = module.service("web")["metadata"]
    elsewhere = cluster.namespace()
    copy = {
        "metadata": {"name": "copy", "labels": ours["labels"], "annotations": ours["annotations"]},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 9090}]},
    }
    assert cluster.call("POST", f"/api/v1/namespaces/{elsewhere}/services", copy).status == 201
    held = cluster.wait_address(elsewhere, "copy")
    assert module.is_quiet()
    assert module.until("web", "Ready", before["address"]) == before
    assert module.twin.reported["summary"]["notReady"] == 0
    assert module.twin.reported["lastDesiredStatus"]["code"] == 200
    cluster.call("DELETE", f"/api/v1/namespaces/{module.namespace}/services/web")
    module.until("web", "Ready", before["address"])
    module.desire({})
    module.until_true(lambda: not module.service("web"), "the Service goes")
    assert cluster.address(elsewhere, "copy") == held, "it is left as it is"
