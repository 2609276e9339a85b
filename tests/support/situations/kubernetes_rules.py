"""Services that the API server's own rules refuse."""

from __future__ import annotations

from typing import Any

from support.situations.bed import Bed
from support.situations.kubernetes_objects import SPEC, create, service
from support.situations.table import BOTH, KUBERNETES, Seen, situation

LB = {"type": "LoadBalancer"}
LONG = "a" * 64
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "port_zero": ("A port is 0.", {"ports": [{"port": 0}]}),
    "port_too_large": ("A port is above 65535.", {"ports": [{"port": 65536}]}),
    "target_port_too_large": ("A target port is above 65535.", {"ports": [{"port": 80, "targetPort": 65536}]}),
    "target_port_bad_name": ("A target port is no port name.", {"ports": [{"port": 80, "targetPort": "Not_a_name"}]}),
    "ports_missing": ("A Service has no ports.", {"ports": []}),
    "ports_without_names": ("Two ports have no names.", {"ports": [{"port": 1}, {"port": 2}]}),
    "port_names_alike": (
        "Two ports have one name.",
        {"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]},
    ),
    "port_name_bad": ("A port name is no DNS label.", {"ports": [{"name": "Web_1", "port": 1}]}),
    "ports_alike": (
        "Two ports have one number and protocol.",
        {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]},
    ),
    "protocol_unknown": ("A protocol does not exist.", {"ports": [{"port": 1, "protocol": "ICMP"}]}),
    "type_unknown": ("The type does not exist.", {"type": "Best"}),
    "node_port_out_of_range": (
        "A node port is outside the range.",
        {**LB, "ports": [{"port": 1, "nodePort": 99}]},
    ),
    "node_port_of_cluster_ip": ("A ClusterIP has a node port.", {"ports": [{"port": 1, "nodePort": 31000}]}),
    "load_balancer_headless": ("A LoadBalancer has no cluster IP.", {**LB, "clusterIP": "None"}),
    "session_affinity_unknown": ("The session affinity does not exist.", {"sessionAffinity": "Cookie"}),
    "source_range_bad": ("A source range is no network.", {**LB, "loadBalancerSourceRanges": ["none"]}),
    "traffic_policy_unknown": ("The traffic policy does not exist.", {**LB, "externalTrafficPolicy": "Near"}),
    "selector_value_bad": ("A selector's value is no label value.", {"selector": {"app": "not a value"}}),
}
MODERN: dict[str, tuple[str, dict[str, Any]]] = {
    "family_not_configured": ("A family is asked for that the cluster has not.", {"ipFamilies": ["IPv6"]}),
    "dual_stack_not_configured": (
        "Both families are required of a cluster with one.",
        {"ipFamilyPolicy": "RequireDualStack"},
    ),
    "load_balancer_class_bad": ("A load balancer class is no qualified name.", {**LB, "loadBalancerClass": "a b"}),
}
OLD: dict[str, tuple[str, dict[str, Any]]] = {
    "protocols_mixed": (
        "A LoadBalancer has TCP and UDP ports.",
        {**LB, "ports": [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]},
    ),
    "port_of_kubelet": ("A LoadBalancer publishes the port of the kubelet.", {**LB, "ports": [{"port": 10250}]}),
}
NAMES: dict[str, tuple[str, str]] = {
    "name_with_capitals": ("The name has a capital letter.", "Web"),
    "name_too_long": ("The name has 64 characters.", LONG),
}


def _enter_spec(name: str, given: str, spec: dict[str, Any], profiles: tuple[str, ...]) -> None:
    # the text names the range, and the embedded cluster has the usual one
    same = name != "node_port_out_of_range"

    @situation(KUBERNETES, given, name=f"invalid_{name}", profiles=profiles, embedded=same)
    def run(bed: Bed) -> Seen:
        return create(bed, bed.namespace(), service(**spec))


for _rules, _profiles in ((RULES, BOTH), (MODERN, ("1.36",)), (OLD, ("1.20",))):
    for _name, (_given, _spec) in _rules.items():
        _enter_spec(_name, _given, _spec, _profiles)


def _enter_name(key: str, given: str, name: str) -> None:
    @situation(KUBERNETES, given, name=f"invalid_{key}")
    def run(bed: Bed) -> Seen:
        return create(bed, bed.namespace(), service(name))


for _key, (_given, _text) in NAMES.items():
    _enter_name(_key, _given, _text)


@situation(KUBERNETES, "A label's value is no label value.", name="invalid_label_value")
def label_value(bed: Bed) -> Seen:
    body = {"metadata": {"name": "asker", "labels": {"app": "not a value"}}, "spec": SPEC}
    return create(bed, bed.namespace(), body)


@situation(KUBERNETES, "A Service asks for a node port that another one has.")
def node_port_taken(bed: Bed) -> Seen:
    namespace = bed.namespace()
    made = bed.api.create(bed.service(namespace), service("holder", type="NodePort"))
    port = made["spec"]["ports"][0]["nodePort"]
    body = service(type="NodePort", ports=[{"port": 1, "nodePort": port}])
    return create(bed, namespace, body, node_port=str(port))


@situation(KUBERNETES, "A Service asks for a cluster IP that another one has.")
def cluster_ip_taken(bed: Bed) -> Seen:
    namespace = bed.namespace()
    made = bed.api.create(bed.service(namespace), service("holder"))
    address = str(made["spec"]["clusterIP"])
    return create(bed, namespace, service(clusterIP=address), cluster_ip=address)


@situation(KUBERNETES, "The cluster IP of a Service is changed.")
def immutable_cluster_ip(bed: Bed) -> Seen:
    namespace = bed.namespace()
    made = bed.api.create(bed.service(namespace), service())
    first, _, last = str(made["spec"]["clusterIP"]).rpartition(".")
    other = f"{first}.{77 if last != '77' else 78}"
    patch = {"spec": {"clusterIP": other, "clusterIPs": [other]}}
    answer = bed.merge_answer(bed.service(namespace, "asker"), patch)
    return Seen(answer, {"namespace": namespace, "name": "asker", "cluster_ip": other})


@situation(KUBERNETES, "The load balancer class of a Service is changed.", profiles=("1.36",))
def immutable_load_balancer_class(bed: Bed) -> Seen:
    namespace = bed.namespace()
    bed.api.create(bed.service(namespace), service(**LB, loadBalancerClass="example.com/one"))
    patch = {"spec": {"loadBalancerClass": "example.com/two"}}
    answer = bed.merge_answer(bed.service(namespace, "asker"), patch)
    return Seen(answer, {"namespace": namespace, "name": "asker"})
