"""Guard rails: what each refuses, how two places are made one, and what holds when the ConfigMap cannot be read."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from edge_expose_contract.models import Exposure
from edge_expose_contract.reasons import REASONS
from edge_expose_module.cluster.api import Denied, Unavailable
from edge_expose_module.desired.rails.model import ENVIRONMENT, Guards
from edge_expose_module.desired.rails.steering import DOMAINS, steers
from edge_expose_module.desired.rails.table import RAILS, merged, read, refused
from edge_expose_module.settings import BadSettings, read_settings
from support.bench import Bench

MAP = "ConfigMap edge1/edge-expose-guard-rails"


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": [80], **more}


def vm(*endpoints: str) -> dict[str, Any]:
    return {"endpoints": list(endpoints), "ports": [80]}


def rails(**texts: str) -> Guards:
    found, problems = read(texts, ENVIRONMENT)
    assert not problems
    return found


def why(guards: Guards, wish: dict[str, Any], namespace: str = "edge1") -> str | None:
    found = refused(guards, Exposure.model_validate(wish), namespace, 1)
    return found.reason if found is not None else None


def bench(guards: Guards | None = None) -> Bench:
    made = Bench(guards=guards)
    made.cluster.add_pod("ws", {"app": "ws"})
    return made


def warned(world: Bench) -> str:
    return " | ".join(world.twin.reported.get("warnings", []))


# --- the table ---


def test_every_rail_is_a_field_and_every_field_that_the_owner_says_is_a_rail() -> None:
    beside = {"said", "networks", "unknown"}
    assert {rail.field for rail in RAILS} == {field.name for field in fields(Guards)} - beside


STEERING_ANNOTATION = "service.beta.kubernetes.io/azure-load-balancer-internal=true"
ROWS: list[Any] = [
    ({"ALLOW_NAMESPACES": "web"}, web(), "NamespaceNotAllowed"),
    ({"ALLOW_NAMESPACES": "edge1,web"}, web(), None),
    ({"ALLOW_PORTS": "443"}, web(), "PortNotAllowed"),
    ({"ALLOW_PORTS": "1-49,50-80"}, web(ports=["40-80"]), None),
    ({"ALLOW_PORTS": "1-49,51-80"}, web(ports=["40-80"]), "PortNotAllowed"),
    ({"ALLOW_ADDRESSES": "10.0.0.10-10.0.0.11"}, web(address="10.0.0.12"), "AddressNotAllowed"),
    ({"ALLOW_SOURCES": "10.1.0.0/16"}, web(), "SourceNotAllowed"),
    ({"ALLOW_SOURCES": "10.1.0.0/16"}, web(allowFrom=["10.0.0.0/8"]), "SourceNotAllowed"),
    ({"ALLOW_SOURCES": "10.1.0.0/16"}, web(allowFrom=["10.1.2.0/24"]), None),
    ({}, vm("10.1.2.3"), None),
    ({}, vm("fd00:ec2::254"), "EndpointNotAllowed"),
    ({"ALLOW_ENDPOINTS": "fd00::/8"}, vm("fd00:ec2::254"), "EndpointNotAllowed"),
    ({"ALLOW_ENDPOINTS": "fd00:ec2::254/128"}, vm("fd00:ec2::254"), None),
    ({"ALLOW_ENDPOINTS": "10.1.0.0/16"}, vm("10.1.2.3", "10.2.0.1"), "EndpointNotAllowed"),
    ({}, web(annotations=["example.com/team=a"]), None),
    ({"ALLOW_ANNOTATIONS": "example.org/*"}, web(annotations=["example.com/team=a"]), "AnnotationNotAllowed"),
    ({"ALLOW_ANNOTATIONS": "example.com/*"}, web(annotations=["example.com/team=a"]), None),
    ({}, web(annotations=[STEERING_ANNOTATION]), "AnnotationNotAllowed"),
    ({"ALLOW_ANNOTATIONS": "*"}, web(annotations=[STEERING_ANNOTATION]), "AnnotationNotAllowed"),
    ({"ALLOW_ANNOTATIONS": "service.beta.kubernetes.io/*"}, web(annotations=[STEERING_ANNOTATION]), None),
    ({}, web(labels=["team=a"]), None),
    ({"ALLOW_LABELS": "tier"}, web(labels=["team=a"]), "LabelNotAllowed"),
    ({"ALLOW_LABELS": "tier,team"}, web(labels=["team=a"]), None),
    ({}, web(labels=["service.kubernetes.io/service-proxy-name=x"]), "LabelNotAllowed"),
    ({"ALLOW_HOSTNAMES": "*.site1.example.com"}, web(hostname="web.site1.example.com"), None),
    ({"ALLOW_HOSTNAMES": "*.site1.example.com"}, web(hostname="web.example.com"), "HostnameNotAllowed"),
    ({"ALLOW_HOSTNAMES": "*.site1.example.com"}, web(hostname="site1.example.com"), "HostnameNotAllowed"),
    ({"ALLOW_CLASSES": "a.b/c"}, web(loadBalancerClass="x.y/z"), "ClassNotAllowed"),
    ({"ALLOW_CLASSES": "a.b/c"}, web(loadBalancerClass="a.b/c"), None),
    ({"ALLOW_CLASSES": "a.b/c"}, web(), None),
]


@pytest.mark.parametrize(("texts", "wish", "reason"), ROWS)
def test_what_a_rail_refuses(texts: dict[str, str], wish: dict[str, Any], reason: str | None) -> None:
    found = refused(rails(**texts), Exposure.model_validate(wish), "edge1", 1)
    assert (found.reason if found is not None else None) == reason
    assert reason is None or reason in REASONS


STEER = [
    key
    for line in (
        "metallb.io/x metallb.universe.tf/x purelb.io/x kube-vip.io/x lbipam.cilium.io/x io.cilium/x",
        "service.cilium.io/x cilium.io/x loxilb.io/x openelb.io/x lb.kubesphere.io/x",
        "eip.openelb.kubesphere.io/x protocol.openelb.kubesphere.io/x eip.porter.kubesphere.io/x",
        "svccontroller.k3s.cattle.io/x projectcalico.org/x service.beta.kubernetes.io/x",
        "service.alpha.kubernetes.io/x loadbalancer.openstack.org/x cloud.google.com/x networking.gke.io/x",
        "load-balancer.hetzner.cloud/x kubernetes.digitalocean.com/x external-dns.alpha.kubernetes.io/x",
        "external-dns.kubernetes.io/x dns.alpha.kubernetes.io/x service.kubernetes.io/x",
        "endpointslice.kubernetes.io/x kubernetes.io/elb.class oci.oraclecloud.com/x",
        "oci-network-load-balancer.oraclecloud.com/x tailscale.com/expose coredns.io/x service.antrea.io/x",
        "kube-router.io/x cis.f5.com/x ako.vmware.com/x k8s.ovn.org/x ncp/x service.citrix.com/x",
        "netscaler.com/x haproxy.org/x metal.equinix.com/x yandex.cloud/x networking.k8s.io/x",
        "gateway.networking.k8s.io/x lb.example.com/x nlb.example.com/x load-balancer.example.com/x",
        "my-loadbalancer.example.com/x vip.example.com/x lb-ipam.example.com/x dns.example.com/x",
        "my-dns.example.com/x publicdns.example.com/x example.com/load-balancer-ip",
        "example.com/externaldns-name loadbalancer-ip",
    )
    for key in line.split()
]
FREE = [
    key
    for line in (
        "example.com/kubernetes.io team mykubernetes.io/x app.kubernetes.io/part-of prometheus.io/scrape",
        "example.com/team helm.sh/chart argocd.argoproj.io/tracking-id albums.example.com/x lbx.example.com/x",
        "shipping.example.com/x dnsmasq-team.example.com/x config.linkerd.io/opaque-ports",
        "internal.config.kubernetes.io/x example.com/dns-owner",
    )
    for key in line.split()
]


@pytest.mark.parametrize("key", [*STEER, *(f"{domain}/x" for domain in DOMAINS), *(f"below.{d}/x" for d in DOMAINS)])
def test_a_key_that_steers_is_known_in_any_case(key: str) -> None:
    assert steers(key)
    assert steers(key.upper())


@pytest.mark.parametrize("key", FREE)
def test_a_plain_note_steers_nothing(key: str) -> None:
    assert not steers(key)


def test_a_refusal_says_who_set_the_rule_and_where() -> None:
    both = merged(rails(ALLOW_PORTS="80-90"), read({"ALLOW_PORTS": "85-99"}, MAP)[0])
    found = refused(both, Exposure.model_validate(web(ports=[99])), "edge1", 1)
    assert found is not None
    assert found.message == (
        "port 99 is not among those this device allows: 85-90 (set by its owner in the environment and in the "
        f"{MAP}); use one of them, or ask the owner"
    )


# --- two places ---

BOTH: list[Any] = [
    ({"ALLOW_NAMESPACES": "a,b"}, {"ALLOW_NAMESPACES": "b,c"}, "namespaces", frozenset({"b"})),
    ({"ALLOW_PORTS": "1-10,20"}, {"ALLOW_PORTS": "5-30"}, "ports", ((5, 10), (20, 20))),
    ({"ALLOW_PORTS": "1-10"}, {}, "ports", ((1, 10),)),
    ({"MAX_EXPOSURES": "5"}, {"MAX_EXPOSURES": "3"}, "max_exposures", 3),
    ({}, {"MAX_REMOVAL_PERCENT": "20"}, "max_removal_percent", 20),
    ({"MAX_REMOVAL_PERCENT": "10"}, {"MAX_REMOVAL_PERCENT": "20"}, "max_removal_percent", 10),
    ({"MAX_REMOVAL_PERCENT": "90"}, {}, "max_removal_percent", 90),
    ({"ALLOW_ADOPT": "true"}, {"ALLOW_ADOPT": "true"}, "adopt", True),
    ({"ALLOW_ADOPT": "true"}, {"ALLOW_ADOPT": "false"}, "adopt", False),
    ({"ALLOW_ADOPT": "false"}, {"ALLOW_ADOPT": "true"}, "adopt", False),
    ({}, {"ALLOW_ADOPT": "true"}, "adopt", True),
    ({"ALLOW_ADOPT": "true"}, {}, "adopt", False),
    ({"ALLOW_CLASSES": "a,b"}, {"ALLOW_CLASSES": "b"}, "classes", frozenset({"b"})),
]


@pytest.mark.parametrize(("environment", "owner", "field", "value"), BOTH)
def test_the_stricter_holds(environment: dict[str, str], owner: dict[str, str], field: str, value: object) -> None:
    assert getattr(merged(rails(**environment), read(owner, MAP)[0]), field) == value


@pytest.mark.parametrize(
    ("environment", "owner", "wish"),
    [
        ("ALLOW_ANNOTATIONS=service.beta.kubernetes.io/*", "", web(annotations=[STEERING_ANNOTATION])),
        ("ALLOW_ENDPOINTS=fd00:ec2::254/128", "", vm("fd00:ec2::254")),
        ("ALLOW_HOSTNAMES=*.a.example", "ALLOW_HOSTNAMES=*.b.example", web(hostname="x.b.example")),
        ("ALLOW_LABELS=a", "ALLOW_LABELS=b", web(labels=["b=1"])),
    ],
)
def test_what_the_environment_opens_the_owner_must_open_too(environment: str, owner: str, wish: dict[str, Any]) -> None:
    here = rails(**dict([environment.split("=", 1)]))
    there = read(dict([owner.split("=", 1)]) if owner else {}, MAP)[0]
    assert why(merged(here, there), wish) is not None
    if not owner:
        assert why(here, wish) is None


def test_bad_rails_in_the_environment_are_told_all_at_once() -> None:
    bad = {"ADOPT": "maybe", "ENDPOINTS": "10.0.0.1", "ANNOTATIONS": "a b/c/*", "HOSTNAMES": "Web", "CLASSES": "!"}
    with pytest.raises(BadSettings) as caught:
        read_settings({f"EDGE_EXPOSE_ALLOW_{key}": text for key, text in bad.items()})
    assert len(caught.value.problems) == len(bad)


# --- the ConfigMap ---


def test_rails_that_a_person_typed_hold_and_are_looked_at_anew() -> None:
    world = bench()
    world.cluster.rails = {"ALLOW_PORTS": "80"}
    world.desire({"a": web(), "b": web(ports=[81])})
    world.run()
    assert world.state("a")[0] == "Ready"
    assert world.state("b") == ("Blocked", None, "PortNotAllowed")
    assert MAP in world.exposure("b")["message"]
    world.cluster.rails = {}
    world.run()
    assert world.state("b")[0] == "Ready"


def test_rails_that_were_tightened_leave_what_stands_and_say_so() -> None:
    world = bench()
    world.desire({"a": web(), "b": web()})
    world.run()
    held = world.cluster.address_of("a")
    world.cluster.rails = {"ALLOW_PORTS": "443", "ALLOW_ADDRESSES": "10.0.0.20-10.0.0.20"}
    world.run()
    assert world.state("a") == ("Blocked", held, "OutsideRails")
    assert world.cluster.address_of("a") == held


def test_an_address_outside_of_tightened_rails_is_kept_and_told() -> None:
    world = bench()
    world.desire({"a": web()})
    world.run()
    held = world.cluster.address_of("a")
    world.cluster.rails = {"ALLOW_ADDRESSES": "10.0.0.20-10.0.0.20"}
    world.desire({"a": web(), "b": web()})
    world.run()
    assert world.state("a") == ("Blocked", held, "OutsideRails")
    assert world.cluster.address_of("a") == held
    assert world.cluster.address_of("b") == "10.0.0.20"


UNFIT: list[Any] = [
    pytest.param(None, None, "was deleted", id="deleted"),
    pytest.param({"ALLOW_PORTS": "80"}, Denied("configmaps is forbidden"), "cannot be read", id="forbidden"),
    pytest.param({"ALLOW_PORTS": "80"}, Unavailable("no answer"), "cannot be read", id="no answer"),
    pytest.param({"ALLOW_PORTS": "eighty"}, None, "is malformed: ALLOW_PORTS='eighty'", id="malformed"),
    pytest.param({"ALLOW_PORT": "81"}, None, "ALLOW_PORT is no guard rail", id="misspelt"),
]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("data", "error", "told"), UNFIT)
def test_the_last_good_rails_hold(
    data: dict[str, str] | None, error: Denied | Unavailable | None, told: str, restarted: bool
) -> None:
    world = bench()
    world.cluster.rails = {"ALLOW_PORTS": "80"}
    world.desire({"a": web()})
    world.run()
    world.cluster.rails, world.cluster.rails_error = data, error
    if restarted:
        world.restart()
    world.desire({"a": web(), "b": web(ports=[81]), "c": web()})
    world.run()
    assert world.state("b") == ("Blocked", None, "PortNotAllowed")
    assert world.state("c")[0] == "Ready"
    assert told in warned(world)
    assert "the last good ones hold" in warned(world)


@pytest.mark.parametrize(("data", "error", "told"), UNFIT[1:])
def test_with_no_rails_known_nothing_new_is_made_and_what_runs_goes_on(
    data: dict[str, str] | None, error: Denied | Unavailable | None, told: str
) -> None:
    world = bench()
    world.desire({"a": web()})
    world.run()
    held = world.cluster.address_of("a")
    world.cluster.rails, world.cluster.rails_error = data, error
    world.desire({"a": web(), "b": web()})
    world.run()
    assert world.state("a") == ("Ready", held, None)
    assert world.state("b") == ("Blocked", None, "GuardRailsUnknown")
    world.desire({"a": web(ports=[8080]), "b": web()})
    world.run()
    assert world.state("a") == ("Blocked", held, "GuardRailsUnknown")
    assert world.cluster.services["edge1", "a"]["spec"]["ports"][0]["port"] == 80
    assert told in warned(world)
    assert "none read so far" in warned(world)
    assert "new exposures are not created" in warned(world)
    world.cluster.rails, world.cluster.rails_error = {}, None
    world.run()
    assert [world.state(name)[0] for name in ("a", "b")] == ["Ready", "Ready"]


def test_a_lost_disk_and_unreadable_rails_remove_nothing() -> None:
    world = bench()
    world.desire({"a": web()})
    world.run()
    held = world.cluster.address_of("a")
    world.cluster.rails_error = Denied("configmaps is forbidden")
    world.restart(keep_disk=False)
    world.run()
    assert world.state("a") == ("Blocked", held, "GuardRailsUnknown")
    assert world.cluster.address_of("a") == held


def test_without_a_config_map_the_environment_alone_holds() -> None:
    world = bench(rails(ALLOW_PORTS="80"))
    world.desire({"a": web(), "b": web(ports=[81])})
    world.run()
    assert [world.state(name)[0] for name in ("a", "b")] == ["Ready", "Blocked"]
    assert warned(world) == ""


@pytest.mark.parametrize(
    "text", ["ALLOW_PORTS=８０", "ALLOW_PORTS=80.9", "ALLOW_PORTS=8e1", "MAX_EXPOSURES=1_0", "MAX_REMOVAL_PERCENT=٥"]
)
def test_a_number_in_a_rail_is_written_in_ascii_digits(text: str) -> None:
    key, _, value = text.partition("=")
    _, problems = read({key: value}, ENVIRONMENT)
    assert "whole number" in " ".join(problems)


# --- endpoints ---


@pytest.mark.parametrize(
    ("endpoint", "what"),
    [
        ("192.0.2.1", "the address of the API server"),
        ("10.244.1.9", "the pod network"),
        ("10.96.0.77", "the Service network (cluster IP of other/theirs)"),
    ],
)
def test_endpoints_do_not_lead_into_the_cluster(endpoint: str, what: str) -> None:
    world = bench()
    world.cluster.pod_networks = ["10.244.0.0/24", "10.244.1.0/24"]
    world.cluster.add_service("theirs", {"clusterIP": "10.96.0.77", "ports": [{"port": 1}]}, "other")
    world.desire({"a": vm(endpoint)})
    world.run()
    assert world.state("a") == ("Blocked", None, "EndpointNotAllowed")
    assert f"lies in {what}" in world.exposure("a")["message"]
    world.cluster.rails = {"ALLOW_ENDPOINTS": "10.0.0.0/8,192.0.2.0/24"}
    world.run()
    assert world.state("a")[0] == "Blocked"
    world.cluster.rails = {"ALLOW_ENDPOINTS": f"{endpoint}/32"}
    world.run()
    assert world.state("a")[0] == "Ready"


@pytest.mark.parametrize(
    ("endpoint", "what"),
    [
        ("64:ff9b::a9fe:a9fe", "the metadata service of clouds"),
        ("64:ff9b:1::a9fe:a9fe", "the metadata service of clouds"),
        ("64:ff9b:1:a9fe:a9:fe00::", "the metadata service of clouds"),
        ("64:ff9b:1:a9:fe:a9fe::", "the metadata service of clouds"),
        ("64:ff9b:1:0:a9:fea9:fe00:0", "the metadata service of clouds"),
        ("2002:a9fe:a9fe::1", "the metadata service of clouds"),
        ("2001:0:a9fe:a9fe::1", "the metadata service of clouds"),
        ("2001:0:5db8:1::5601:5601", "the metadata service of clouds"),
        ("::ffff:0:a9fe:a9fe", "the metadata service of clouds"),
        ("fd99::5efe:a9fe:a9fe", "the metadata service of clouds"),
        ("::127.0.0.1", "the loopback network"),
        ("64:ff9b::127.0.0.1", "the loopback network"),
        ("64:ff9b::10.244.1.9", "the pod network"),
        ("2002:c000:201::1", "the address of the API server"),
        ("::10.96.0.77", "the Service network (cluster IP of other/theirs)"),
        ("168.63.129.16", "the metadata service of clouds"),
        ("100.100.100.200", "the metadata service of clouds"),
        ("192.0.0.192", "the metadata service of clouds"),
        ("fd00:ec2::254", "the metadata service of clouds"),
        ("fd20:ce::254", "the metadata service of clouds"),
        ("255.255.255.255", "the broadcast address"),
        ("250.1.2.3", "the reserved network"),
        ("0.1.2.3", "the network of unspecified addresses"),
        ("64:ff9b::224.0.0.1", "the multicast network"),
    ],
)
def test_no_way_of_writing_an_address_leads_where_endpoints_may_not(endpoint: str, what: str) -> None:
    world = bench()
    world.cluster.pod_networks = ["10.244.1.0/24"]
    world.cluster.add_service("theirs", {"clusterIP": "10.96.0.77", "ports": [{"port": 1}]}, "other")
    world.desire({"a": vm(endpoint)})
    world.run()
    assert world.state("a") == ("Blocked", None, "EndpointNotAllowed")
    assert what in world.exposure("a")["message"]
    world.cluster.rails = {"ALLOW_ENDPOINTS": "0.0.0.0/0,::/0,64:ff9b::/96"}
    world.run()
    assert world.state("a")[0] == "Blocked", "a wide word opens none of them"
    world.cluster.rails = {"ALLOW_ENDPOINTS": f"{endpoint}/{128 if ':' in endpoint else 32}"}
    world.run()
    assert world.state("a")[0] == "Ready", "its owner names it"


@pytest.mark.parametrize("endpoint", ["64:ff9b::10.1.2.3", "2002:a01:203::1", "2001:db8::a9fe:a9fe", "10.1.2.3"])
def test_what_leads_elsewhere_is_an_endpoint_like_any(endpoint: str) -> None:
    world = bench()
    world.desire({"a": vm(endpoint)})
    world.run()
    assert world.state("a")[0] == "Ready"


def test_networks_that_nobody_tells_are_told_as_such() -> None:
    world = bench()
    world.desire({"a": vm("10.1.2.3")})
    world.run()
    assert "where the pod network and the Service network beyond the cluster IPs seen are" in warned(world)
    assert warned(world).endswith("unless ALLOW_ENDPOINTS says which may be")
    world.cluster.rails = {"ALLOW_ENDPOINTS": "10.1.0.0/16"}
    world.run()
    assert warned(world) == ""


# --- adoption ---


@pytest.mark.parametrize(("allowed", "reason"), [("false", "AdoptNotAllowed"), ("true", None)])
def test_a_service_of_somebody_else_is_taken_over_only_where_the_rails_allow_it(
    allowed: str, reason: str | None
) -> None:
    world = bench()
    world.cluster.rails = {"ALLOW_ADOPT": allowed}
    spec = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "ws"}}
    world.cluster.add_service("a", spec)
    world.desire({"a": web(adopt=True)})
    world.run()
    assert world.state("a")[2] == reason
    assert ("edge-expose.io/owner" in world.cluster.services["edge1", "a"]["metadata"].get("labels", {})) is (
        allowed == "true"
    )
    world.cluster.rails = {"ALLOW_ADOPT": "false"}
    world.run()
    if reason is None:
        assert world.state("a")[0] == "Ready"  # what is ours already is no takeover
