"""The admission policy of the guard rails on a real API server: it says what the module's own rails say.

Each row is an exposure under rails. The Service that the module would make of it, written by the module's account, is
refused where the module's rails refuse the exposure, and taken where they do not.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from edge_expose_contract.addressing import parse_address
from edge_expose_contract.models import Exposure
from edge_expose_module.cluster.state import Capabilities, Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.table import merged, read, refused
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.services.claim_services import claim_port, claim_service
from edge_expose_module.services.render import Target, declare, slice_bodies
from support.cluster import clean_environment
from support.testbed_binaries import PROFILES
from support.testbed_loopback import RealCluster, real_cluster
from support.testbed_module import SHIPPED, shipped
from support.waiting import eventually

pytestmark = pytest.mark.testbed
ACCOUNT: Final = "system:serviceaccount:edge1:edge-expose"
TARGET: Final = Target("0123456789abcdef", "edge1", lambda _: MetalLB(), Capabilities("v1.36.3", 36))
CLAIM: Final = ("edge1", "x-claim")
RAILS: Final = "/api/v1/namespaces/edge1/configmaps/edge-expose-guard-rails"
WEB: Final[Mapping[str, Any]] = {"selector": ["app=w"], "ports": ["8080:80"]}

Row = tuple[dict[str, str], dict[str, Any], bool]
#: rails, what the exposure says beside WEB, refused
TABLE: Final[dict[str, Row]] = {
    "empty rails allow a plain exposure": ({}, {}, False),
    "a port of the list": ({"ALLOW_PORTS": "443, 8080"}, {}, False),
    "a port of a range": ({"ALLOW_PORTS": "443,8000-8100"}, {}, False),
    "a port beyond": ({"ALLOW_PORTS": "443,8000-8079"}, {}, True),
    "one of two ports beyond": ({"ALLOW_PORTS": "8080"}, {"ports": ["8080:80", "8081:81"]}, True),
    "an address of a range": ({"ALLOW_ADDRESSES": "10.1.0.8-10.1.0.12"}, {"address": "10.1.0.10"}, False),
    "an address beyond a range that is near as text": (
        {"ALLOW_ADDRESSES": "10.1.0.8-10.1.0.12"},
        {"address": "10.1.0.120"},
        True,
    ),
    "an address of a CIDR": ({"ALLOW_ADDRESSES": "10.2.0.0/24 10.1.0.0/24"}, {"address": "10.1.0.10"}, False),
    "an address beyond a CIDR": ({"ALLOW_ADDRESSES": "10.1.0.0/28"}, {"address": "10.1.0.16"}, True),
    "the one address": ({"ALLOW_ADDRESSES": "10.1.0.10/32"}, {"address": "10.1.0.10"}, False),
    "a cluster IP is no external address": ({"ALLOW_ADDRESSES": "10.1.0.10/32"}, {"type": "ClusterIP"}, False),
    "clients inside": ({"ALLOW_SOURCES": "10.0.0.0/8"}, {"allowFrom": ["10.9.0.0/16"]}, False),
    "clients beyond": ({"ALLOW_SOURCES": "10.0.0.0/8"}, {"allowFrom": ["0.0.0.0/0"]}, True),
    "clients of whom nothing is said": ({"ALLOW_SOURCES": "10.0.0.0/8"}, {}, True),
    "clients of a cluster IP": ({"ALLOW_SOURCES": "10.0.0.0/8"}, {"type": "ClusterIP"}, False),
    "the namespace": ({"ALLOW_NAMESPACES": "edge1"}, {}, False),
    "another namespace": ({"ALLOW_NAMESPACES": "web,db"}, {}, True),
    "a host name below": ({"ALLOW_HOSTNAMES": "*.s.example.com"}, {"hostname": "a.s.example.com"}, False),
    "a host name beside": ({"ALLOW_HOSTNAMES": "*.s.example.com"}, {"hostname": "a.example.com"}, True),
    "any host name": ({"ALLOW_HOSTNAMES": "*"}, {"hostname": "a.example.com"}, False),
    "a class": ({"ALLOW_CLASSES": "example.com/lb"}, {"loadBalancerClass": "example.com/lb"}, False),
    "another class": ({"ALLOW_CLASSES": "example.com/lb"}, {"loadBalancerClass": "example.com/other"}, True),
    "an annotation that is a note": ({}, {"annotations": ["prometheus.io/scrape=true"]}, False),
    "a label that is a note": ({}, {"labels": ["app.kubernetes.io/part-of=shop"]}, False),
    "an annotation that steers a load balancer": ({}, {"annotations": ["example.com/load-balancer-x=1"]}, True),
    "an annotation of a network": ({}, {"annotations": ["projectcalico.org/loadBalancerIPs=10.0.0.9"]}, True),
    "an annotation of DNS": ({}, {"annotations": ["my-dns.example.com/name=x"]}, True),
    "an annotation that steers and is named": (
        {"ALLOW_ANNOTATIONS": "projectcalico.org/*"},
        {"annotations": ["projectcalico.org/x=1"]},
        False,
    ),
    "an annotation that steers, and a bare star": (
        {"ALLOW_ANNOTATIONS": "*"},
        {"annotations": ["projectcalico.org/x=1"]},
        True,
    ),
    "an annotation of the list": (
        {"ALLOW_ANNOTATIONS": "example.com/team"},
        {"annotations": ["example.com/team=a"]},
        False,
    ),
    "an annotation beyond the list": (
        {"ALLOW_ANNOTATIONS": "example.com/team"},
        {"annotations": ["example.com/cost=a"]},
        True,
    ),
    "a label beyond the list": ({"ALLOW_LABELS": "example.com/*"}, {"labels": ["other.com/x=1"]}, True),
    "a label of the list": ({"ALLOW_LABELS": "example.com/*"}, {"labels": ["example.com/x=1"]}, False),
    "an endpoint": ({}, {"endpoints": ["192.168.7.7"]}, False),
    "an endpoint of the list": ({"ALLOW_ENDPOINTS": "192.168.0.0/16"}, {"endpoints": ["192.168.7.7"]}, False),
    "an endpoint beyond the list": ({"ALLOW_ENDPOINTS": "192.168.0.0/16"}, {"endpoints": ["10.0.0.7"]}, True),
    "a metadata service": ({}, {"endpoints": ["168.63.129.16"]}, True),
    "a metadata service inside a wide list": ({"ALLOW_ENDPOINTS": "0.0.0.0/0"}, {"endpoints": ["168.63.129.16"]}, True),
    "a metadata service by name": ({"ALLOW_ENDPOINTS": "168.63.129.16/32"}, {"endpoints": ["168.63.129.16"]}, False),
    "one that NAT64 turns into a metadata service": ({}, {"endpoints": ["64:ff9b::a83f:8110"]}, True),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Kubernetes 1.36: 1.20 has no such policies."""
    with real_cluster("1.36", tmp_path_factory.mktemp("policy"), "127.141.0.10-127.141.0.12") as real:
        for file in ("rbac.yaml", "guard-rails.yaml", "admission-policy.yaml"):
            done = kubectl(real, "apply", "-f", str(SHIPPED / file))
            assert done.returncode == 0, done.stderr
            assert "Warning" not in done.stderr, done.stderr
        body = service({"externalIPs": ["10.0.0.1"]})
        eventually(lambda: "policy" in write(real, body).stderr.lower(), what="the policy in force")
        yield real


def kubectl(cluster: RealCluster, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROFILES["1.36"].path("kubectl"), "--kubeconfig", cluster.kubeconfig, *arguments],
        env=clean_environment(),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write(
    cluster: RealCluster, *objects: Mapping[str, Any], account: str = ACCOUNT
) -> subprocess.CompletedProcess[str]:
    """A dry run: admission is asked, nothing stays. Without an account the administrator writes."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    who = ("--as", account) if account else ()
    return kubectl(cluster, "create", "--dry-run=server", *who, "-f", "-", given=json.dumps(items))


def set_rails(cluster: RealCluster, rails: Mapping[str, str]) -> None:
    """The API server sees parameters by a watch, in order: once a value between the old and the new one is gone again,
    the new one is in force."""
    for data, between in (({"ALLOW_NAMESPACES": "in-between"}, True), (rails, False)):
        status, body = cluster.api.raw("PUT", RAILS, {"metadata": {"name": "edge-expose-guard-rails"}, "data": data})
        assert status == 200, body
        eventually(
            lambda between=between: ("in-between" in write(cluster, service({})).stderr) is between,
            what="the parameter in force",
        )


def service(spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None, **labels: str) -> dict[str, Any]:
    owned = {"app.kubernetes.io/managed-by": "edge-expose", "edge-expose.io/owner": "o", "edge-expose.io/exposure": "x"}
    metadata = {"name": "x", "namespace": "edge1", "labels": owned | labels, "annotations": dict(annotations or {})}
    base = {"type": "LoadBalancer", "ports": [{"port": 8080}], "selector": {"app": "w"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": base | dict(spec)}


def slice_of(address: str, owner: str, keeper: str | None = None) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "x", "app.kubernetes.io/managed-by": owner}
    labels |= {"endpointslice.kubernetes.io/managed-by": keeper} if keeper else {}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "x", "namespace": "edge1", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"port": 80}],
    }


def endpoints_of(**subset: Any) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "edge1", "labels": {"app.kubernetes.io/managed-by": "edge-expose"}}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": metadata,
        "subsets": [{**subset, "ports": [{"port": 80}]}],
    }


@pytest.mark.parametrize("name", TABLE)
def test_policy_and_module_say_the_same(cluster: RealCluster, name: str) -> None:
    rails, more, is_refused = TABLE[name]
    if "endpoints" in more:
        more = {"selector": None, **more}
    exposure = Exposure.model_validate({key: value for key, value in {**WEB, **more}.items() if value is not None})
    owner, problems = read(rails, "ConfigMap")
    assert not problems
    block = refused(merged(Guards(), owner), exposure, "edge1", 1)
    assert (block is not None) is is_refused, block
    set_rails(cluster, rails)
    (made,) = declare("x", exposure, exposure.addresses, TARGET)
    objects = [made.body(), *slice_bodies(made, exposure, TARGET.capabilities)]
    done = write(cluster, *objects)
    assert (done.returncode != 0) is is_refused, done.stderr
    if is_refused:
        assert "ValidatingAdmissionPolicy 'edge-expose-edge1" in done.stderr
        assert "expression" not in done.stderr, done.stderr  # a policy that fails to be evaluated is no policy
    assert write(cluster, *objects, account="").returncode == 0  # nobody else is held to it
    if not is_refused and exposure.is_external:
        # Who gets another address has a claim ask for it first: what may be exposed may also move.
        port = claim_port("x", exposure, CLAIM, (), Observed(load_balancer=MetalLB()), TARGET.owner, owner.ports)
        target = exposure.addresses or (parse_address("10.1.0.10"),)
        claim = claim_service("x", exposure, CLAIM, port, target, TARGET)
        done = write(cluster, claim.body())
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (service({"externalIPs": ["10.0.0.1"]}), "without externalIPs"),
        (service({"type": "NodePort"}), "LoadBalancer or ClusterIP"),
        (service({"type": "ClusterIP", "externalName": "example.com"}), "externalName"),
        ({**service({}), "metadata": {**service({})["metadata"], "finalizers": ["example.com/block"]}}, "finalizers"),
        (slice_of("192.168.7.7", "someone-else"), "carry its labels"),
        (slice_of("192.168.7.7", "edge-expose", "endpointslice-controller.k8s.io"), "carry its labels"),
        (endpoints_of(notReadyAddresses=[{"ip": "168.63.129.16"}]), "metadata service"),
        (service({}, **{"app.kubernetes.io/managed-by": "Helm"}), "carries its labels"),
        (service({}, **{"net.azure-devices.edge.deviceid": "edge1"}), "net.azure-devices.edge.deviceid"),
    ],
)
def test_what_the_module_never_writes(cluster: RealCluster, body: dict[str, Any], words: str) -> None:
    set_rails(cluster, {})
    done = write(cluster, body)
    assert done.returncode != 0
    assert words in done.stderr


def test_the_check_of_the_page_about_fences_is_refused_by_the_policy(cluster: RealCluster) -> None:
    page = (SHIPPED.parents[1] / "docs" / "operations" / "fences.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^kubectl (.* --dry-run=server .*)$", page, re.M)
    set_rails(cluster, {})
    done = kubectl(cluster, *shlex.split(command))
    assert done.returncode != 0
    assert "ValidatingAdmissionPolicy" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("rails", "spec", "words"),
    [
        # The module asks wherever it knows the pool: whoever does not could be given any address.
        ({"ALLOW_ADDRESSES": "10.1.0.0/24"}, {}, "asks for an address"),
        (
            {"ALLOW_SOURCES": "10.0.0.0/8"},
            {"loadBalancerSourceRanges": ["10.0.0.0/8"], "ports": [{"port": 8080, "nodePort": 30022}]},
            "no node ports",
        ),
    ],
)
def test_it_is_stricter_than_the_module_where_a_thief_could_pass(
    cluster: RealCluster, rails: dict[str, str], spec: dict[str, Any], words: str
) -> None:
    set_rails(cluster, rails)
    assert words in write(cluster, service(spec)).stderr


def test_endpoints_of_others_are_neither_changed_nor_deleted(cluster: RealCluster) -> None:
    set_rails(cluster, {})
    body = slice_of("192.168.7.7", "someone-else")
    body["metadata"]["name"] = "theirs"
    cluster.api.create("/apis/discovery.k8s.io/v1/namespaces/edge1/endpointslices", body)
    patch = '{"metadata":{"labels":{"app.kubernetes.io/managed-by":"edge-expose"}}}'
    for command in (
        ("patch", "endpointslice", "theirs", "--type=merge", "-p", patch),
        ("delete", "endpointslice", "theirs"),
    ):
        done = kubectl(cluster, "-n", "edge1", *command, "--as", ACCOUNT)
        assert "neither written nor deleted" in done.stderr


def test_services_of_others_are_neither_changed_nor_deleted(cluster: RealCluster) -> None:
    set_rails(cluster, {})
    foreign = service({}, **{"app.kubernetes.io/managed-by": "Helm"})
    foreign["metadata"]["name"] = "theirs"
    cluster.api.create("/api/v1/namespaces/edge1/services", foreign)
    relabel = '{"metadata":{"labels":{"app.kubernetes.io/managed-by":"edge-expose"}}}'
    patch = ("-n", "edge1", "patch", "service", "theirs", "-p", relabel, "--as", ACCOUNT)
    for command in (patch, ("-n", "edge1", "delete", "service", "theirs", "--as", ACCOUNT)):
        done = kubectl(cluster, *command)
        assert "ALLOW_ADOPT does not let it take one over" in done.stderr
    set_rails(cluster, {"ALLOW_ADOPT": "true"})
    assert kubectl(cluster, *patch).returncode == 0
    assert kubectl(cluster, "-n", "edge1", "delete", "service", "theirs", "--as", ACCOUNT).returncode == 0


def test_without_the_config_map_nothing_is_written(cluster: RealCluster) -> None:
    set_rails(cluster, {})
    assert write(cluster, service({})).returncode == 0
    kept = cluster.api.get(RAILS)
    cluster.api.delete(RAILS)
    try:
        eventually(lambda: write(cluster, service({})).returncode != 0, what="a refusal")
        assert "params" in write(cluster, service({})).stderr
    finally:
        cluster.api.create(RAILS.rsplit("/", 1)[0], {"metadata": {"name": kept["metadata"]["name"]}, "data": {}})
        eventually(lambda: write(cluster, service({})).returncode == 0, what="the rails back")


def test_rails_that_cannot_be_read_let_nothing_pass(cluster: RealCluster) -> None:
    set_rails(cluster, {"ALLOW_PORTS": "eighty"})
    done = write(cluster, service({}))
    assert done.returncode != 0
    assert "ValidatingAdmissionPolicy" in done.stderr


def test_the_files_of_the_policy_are_one_binding_each() -> None:
    objects = [item for item in yaml.safe_load_all((SHIPPED / "admission-policy.yaml").read_text()) if item]
    policies = {item["metadata"]["name"] for item in objects if item["kind"].endswith("Policy")}
    bound = {item["spec"]["policyName"] for item in objects if item["kind"].endswith("Binding")}
    assert policies == bound
    assert shipped("admission-policy.yaml", "plant7")[0]["metadata"]["name"] == "edge-expose-plant7"
