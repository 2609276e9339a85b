"""Plans as data: which change, of which fields, in which order."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from edge_expose_contract.models import Exposure
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Capabilities, Observed
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.services.plan import Change, Verb, plan, service_patch
from edge_expose_module.services.render import DeclaredService, Target, declare, slice_bodies

OWNER = "0123456789abcdef"
METALLB = MetalLB(prefix="metallb.io")
TARGET = Target(OWNER, "n", lambda _: METALLB, Capabilities("v1.36.3", 36))


def declared(name: str = "web", **fields: Any) -> DeclaredService:
    exposure = Exposure.model_validate({"selector": ["app=ws"], "ports": ["8080:80"], **fields})
    return declare(name, exposure, exposure.addresses, TARGET)[0]


def stored(service: DeclaredService, **spec: Any) -> ObservedService:
    """The declared Service as a cluster would hold it, with changes; None removes a field."""
    body = copy.deepcopy(service.body())
    body["metadata"].update(uid="u1", resourceVersion="7")
    body["spec"].setdefault("clusterIP", "10.96.0.9")
    body["spec"].update(spec)
    body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
    return ObservedService.of(body)


def changes(
    service: DeclaredService, existing: ObservedService | None, keep: frozenset[str] = frozenset()
) -> list[Change]:
    services = {existing.key: existing} if existing is not None else {}
    return list(plan([service], {}, Observed(services=services, load_balancer=METALLB), OWNER, keep).changes)


PORT = {"name": "tcp-8080", "port": 8080, "targetPort": 80, "protocol": "TCP"}


@pytest.mark.parametrize(
    ("fields", "spec", "patch"),
    [
        pytest.param({}, {}, None, id="equal is no change"),
        pytest.param({}, {"ports": [{**PORT, "nodePort": 30001}]}, None, id="node ports are the cluster's"),
        pytest.param(
            {},
            {"ports": [{**PORT, "name": "old", "nodePort": 30001}]},
            {"ports": [{**PORT, "nodePort": 30001}]},
            id="a port's name is ours, its node port stays",
        ),
        pytest.param(
            {},
            {
                "ports": [
                    {**PORT, "targetPort": 81, "nodePort": 30001},
                    {"port": 9, "protocol": "TCP", "nodePort": 30002},
                ]
            },
            {"ports": [{**PORT, "nodePort": 30001}]},
            id="a foreign port goes, ours keeps its node port",
        ),
        pytest.param(
            {},
            {"ports": [{**PORT, "protocol": "UDP", "nodePort": 30001}]},
            {"ports": [PORT]},
            id="a node port of another protocol is not carried over",
        ),
        pytest.param(
            {},
            {"ports": [{**PORT, "appProtocol": "http", "nodePort": 30001}]},
            {"ports": [{**PORT, "nodePort": 30001}]},
            id="an app protocol nobody declared goes",
        ),
        pytest.param(
            {"type": "ClusterIP"},
            {
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Cluster",
                "ports": [{**PORT, "name": "old", "nodePort": 30001}],
            },
            {"type": "ClusterIP", "externalTrafficPolicy": None, "ports": [PORT]},
            id="inside the cluster there are no node ports",
        ),
        pytest.param(
            {},
            {"selector": {"app": "ws", "tier": "x"}},
            {"selector": {"app": "ws", "tier": None}},
            id="a selector key that is too much is named",
        ),
        pytest.param(
            {"selector": None, "endpoints": ["10.0.0.9"]},
            {"selector": {"a": "b"}},
            {"selector": None},
            id="no selector",
        ),
        pytest.param(
            {},
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 9}}},
            {"sessionAffinity": "None", "sessionAffinityConfig": None},
            id="affinity goes with its settings",
        ),
        pytest.param(
            {"allowFrom": ["10.0.0.0/8"]},
            {"loadBalancerSourceRanges": ["0.0.0.0/0"]},
            {"loadBalancerSourceRanges": ["10.0.0.0/8"]},
            id="source ranges are ours",
        ),
        pytest.param({}, {"loadBalancerIP": "10.0.0.5"}, {"loadBalancerIP": None}, id="a request nobody declared goes"),
        pytest.param({"address": "10.0.0.5"}, {"loadBalancerIP": None}, {"loadBalancerIP": "10.0.0.5"}, id="a request"),
        pytest.param({}, {"loadBalancerSourceRanges": []}, None, id="empty is absent"),
        pytest.param({}, {"loadBalancerIP": ""}, None, id="no text is absent"),
        pytest.param(
            {"ports": [{"port": 8080, "targetPort": 80, "appProtocol": "h2c"}]},
            {"ports": [{**PORT, "appProtocol": "http"}]},
            {"ports": [{**PORT, "appProtocol": "h2c"}]},
            id="an app protocol is ours",
        ),
    ],
)
def test_the_patch_of_a_spec(fields: dict[str, Any], spec: dict[str, Any], patch: dict[str, Any] | None) -> None:
    service = declared(**{key: value for key, value in fields.items() if value is not None} | _without_selector(fields))
    found = service_patch(service, stored(service, **spec))
    assert (found or {}).get("spec") == patch
    if patch is None:
        assert found is None


def _without_selector(fields: dict[str, Any]) -> dict[str, Any]:
    return {"selector": None} if "selector" in fields and fields["selector"] is None else {}


@pytest.mark.parametrize(
    ("fields", "spec", "why"),
    [
        ({"loadBalancerClass": "a/b"}, {"loadBalancerClass": None}, "loadBalancerClass cannot change in place"),
        ({}, {"loadBalancerClass": "a/b"}, "loadBalancerClass cannot change in place"),
        ({}, {"clusterIP": "None"}, "a headless Service cannot become a LoadBalancer"),
        ({"ipFamilies": ["IPv6"]}, {"ipFamilies": ["IPv4"]}, "the primary IP family cannot change in place"),
    ],
)
def test_what_cannot_change_in_place_is_deleted_first(fields: dict[str, Any], spec: dict[str, Any], why: str) -> None:
    service = declared(**fields)
    (change,) = changes(service, stored(service, **spec))
    assert (change.verb, change.uid, change.why) == (Verb.DELETE, "u1", why)


@pytest.mark.parametrize(
    ("fields", "spec"),
    [
        ({"type": "ClusterIP"}, {"clusterIP": "None"}),
        ({"type": "ClusterIP"}, {"type": "LoadBalancer", "loadBalancerClass": "a/b"}),
        ({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}, {"ipFamilies": ["IPv4"]}),
    ],
)
def test_what_can_change_in_place_is_not_deleted(fields: dict[str, Any], spec: dict[str, Any]) -> None:
    service = declared(**fields)
    assert all(change.verb is not Verb.DELETE for change in changes(service, stored(service, **spec)))


def test_a_missing_service_is_created_and_a_patch_names_its_fields_and_version() -> None:
    service = declared()
    (created,) = changes(service, None)
    assert (created.verb, created.kind, created.namespace, created.name, created.exposure, created.why) == (
        Verb.CREATE,
        "Service",
        "n",
        "web",
        "web",
        "missing",
    )
    assert created.body == service.body()
    (patched,) = changes(service, stored(service, sessionAffinity="ClientIP"))
    body = {"spec": {"sessionAffinity": "None"}, "metadata": {"resourceVersion": "7"}}
    why = "differs in spec.sessionAffinity"
    assert patched == Change(Verb.PATCH, "Service", "n", "web", "web", why, body, "u1")
    relabelled = stored(service, sessionAffinity="ClientIP", internalTrafficPolicy="Local")
    relabelled.body["metadata"]["labels"].pop("edge-expose.io/exposure")
    (patched,) = changes(service, relabelled)
    assert patched.why == "differs in metadata.labels, spec.sessionAffinity"


def test_what_the_cluster_leaves_out_of_a_port_is_its_default() -> None:
    plain = declared(ports=["8080"], type="ClusterIP")
    (port,) = plain.spec["ports"]
    bare = {key: value for key, value in port.items() if key not in ("protocol", "targetPort")}
    assert changes(plain, stored(plain, ports=[bare])) == []
    other = {**bare, "targetPort": 9}
    (patched,) = changes(plain, stored(plain, ports=[other]))
    assert patched.body is not None
    assert patched.body["spec"] == {"ports": [port]}
    outside = declared(ports=["8080"])
    (port,) = outside.spec["ports"]
    (patched,) = changes(outside, stored(outside, ports=[{**other, "nodePort": 30001}]))
    assert patched.body is not None
    assert patched.body["spec"] == {"ports": [{**port, "nodePort": 30001}]}, "a port without protocol is TCP"


@pytest.mark.parametrize("note", [None, "", "no json", "[]", '{"labels": 1}', '{"labels": null}', "{}"])
def test_a_note_that_cannot_be_read_costs_nothing(note: str | None) -> None:
    service = declared()
    existing = stored(service)
    annotations = existing.body["metadata"]["annotations"]
    annotations.update(theirs="stays")
    existing.body["metadata"]["labels"].update(theirs="stays")
    if note is None:
        annotations.pop("edge-expose.io/declared", None)
    else:
        annotations["edge-expose.io/declared"] = note
    found = service_patch(service, existing) or {}
    assert "theirs" not in str(found)
    assert set(found.get("metadata", {}).get("annotations", {})) <= {"edge-expose.io/declared"}
    assert set(found) <= {"metadata"}


def test_what_frees_comes_before_what_changes_and_that_before_what_takes() -> None:
    kept, gone, new = declared("kept"), declared("z-gone"), declared("a-new")
    seen = Observed(services={s.key: s for s in (stored(kept, sessionAffinity="ClientIP"), stored(gone))})
    found = plan([new, kept], {}, seen, OWNER, frozenset()).changes
    assert [(change.verb, change.name) for change in found] == [
        (Verb.DELETE, "z-gone"),
        (Verb.PATCH, "kept"),
        (Verb.CREATE, "a-new"),
    ]


def test_what_is_not_declared_goes_unless_it_is_kept_or_going_and_deletes_come_first() -> None:
    old, new = declared("old"), declared("new")
    existing = stored(old)
    first, second = changes(new, existing)
    assert first == Change(Verb.DELETE, "Service", "n", "old", "old", "not declared any more", uid="u1")
    assert (second.verb, second.name) == (Verb.CREATE, "new")
    assert [change.name for change in changes(new, existing, frozenset({"old"}))] == ["new"]
    existing.body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"  # type: ignore[index]
    assert [change.name for change in changes(new, existing)] == ["new"]
    assert changes(old, existing) == [], "it must be gone before it can come back"


def companions(*addresses: str, minor: int = 36) -> tuple[dict[str, Any], ...]:
    exposure = Exposure.model_validate({"endpoints": list(addresses), "ports": ["8080:80"]})
    (service,) = declare("vm", exposure, (), TARGET)
    return slice_bodies(service, exposure, Capabilities(f"v1.{minor}.0", minor))


def test_an_endpoint_is_written_in_the_family_it_has() -> None:
    (only,) = companions("::ffff:10.0.0.1", "10.0.0.1")
    assert (only["addressType"], [item["addresses"] for item in only["endpoints"]]) == ("IPv4", [["10.0.0.1"]])
    (old,) = companions("::ffff:10.0.0.1", minor=20)
    assert old["subsets"][0]["addresses"] == [{"ip": "10.0.0.1"}]


@pytest.mark.parametrize(("minor", "kind"), [(36, "EndpointSlice"), (20, "Endpoints")])
def test_endpoints_given_by_hand_are_made_kept_and_removed(minor: int, kind: str) -> None:
    (body,) = companions("192.168.1.5", minor=minor)
    key = (kind, "n", body["metadata"]["name"])

    def planned(
        observed: dict[str, Any] | None, wanted: bool = True, keep: frozenset[str] = frozenset()
    ) -> list[Change]:
        seen = Observed(companions={key: observed} if observed is not None else {})
        return list(plan([], {("n", "vm"): (body,)} if wanted else {}, seen, OWNER, keep).changes)

    assert planned(None) == [Change(Verb.CREATE, kind, "n", key[2], "vm", "missing", body)]
    held = copy.deepcopy(body)
    held["metadata"].update(uid="u9", resourceVersion="3")
    held["defaulted"] = True
    assert planned(held) == []
    moved = copy.deepcopy(held)
    if kind == "EndpointSlice":
        moved["endpoints"][0]["addresses"] = ["192.168.1.6"]
    else:
        moved["subsets"][0]["addresses"] = [{"ip": "192.168.1.6"}]
    (patched,) = planned(moved)
    content = {name: body[name] for name in ("endpoints", "ports", "subsets") if name in body}
    patch = {**content, "metadata": {"labels": body["metadata"]["labels"], "resourceVersion": "3"}}
    assert patched == Change(Verb.PATCH, kind, "n", key[2], "vm", "endpoints differ", patch)
    (deleted,) = planned(held, wanted=False)
    assert deleted == Change(Verb.DELETE, kind, "n", key[2], "vm", "not declared any more", uid="u9")
    assert planned(held, wanted=False, keep=frozenset({"vm"})) == []


def test_a_slice_that_is_missing_does_not_hide_one_that_differs() -> None:
    bodies = companions("192.168.1.5", "fd00::5")
    held = copy.deepcopy(bodies[1])
    held["ports"] = []
    seen = Observed(companions={("EndpointSlice", "n", held["metadata"]["name"]): held})
    found = plan([], {("n", "vm"): bodies}, seen, OWNER, frozenset()).changes
    assert [change.verb for change in found] == [Verb.PATCH, Verb.CREATE]
    assert all(change.namespace == "n" for change in found)
    held["ports"] = [*bodies[1]["ports"], *bodies[1]["ports"]]
    assert [change.verb for change in plan([], {("n", "vm"): bodies}, seen, OWNER, frozenset()).changes] == [
        Verb.PATCH,
        Verb.CREATE,
    ]


def test_both_families_get_a_slice_each() -> None:
    bodies = companions("192.168.1.5", "fd00::5", "192.168.1.4")
    found = {body["addressType"]: [e["addresses"][0] for e in body["endpoints"]] for body in bodies}
    assert found == {"IPv4": ["192.168.1.4", "192.168.1.5"], "IPv6": ["fd00::5"]}
    assert {body["metadata"]["name"] for body in bodies} == {"vm-ipv4", "vm-ipv6"}
