"""What edgeAgent on Kubernetes makes of createOptions, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.iotedge.edge_agent import modules_of, parse_service_type, predict_services
from edge_expose_cloud.iotedge.edge_agent_names import sanitize_annotation_key, sanitize_dns_domain, sanitize_dns_value
from edge_expose_cloud.iotedge.edge_agent_ports import dotnet_int32
from edge_expose_contract.violations import RuleError


def content(**modules: Any) -> dict[str, Any]:
    entries = {
        name: {"settings": {"image": "a:1", "createOptions": json.dumps(options)}} for name, options in modules.items()
    }
    return {"$edgeAgent": {"properties.desired": {"modules": entries}}}


def bound(*pairs: tuple[str, str], **rest: Any) -> dict[str, Any]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for key, host_port in pairs:
        bindings.setdefault(key, []).append({"HostPort": host_port})
    return {"HostConfig": {"PortBindings": bindings}, **rest}


def service_options(**fields: Any) -> dict[str, Any]:
    return {"k8s-experimental": {"serviceOptions": fields}}


Row = tuple[str, int, str, int | None]

PORTS: list[Any] = [
    pytest.param(
        bound(("80/tcp", "8080")),
        [("hostport-80-tcp", 8080, "TCP", 80)],
        set(),
        id="a binding publishes HostPort to the container port",
    ),
    pytest.param(bound(("80", "8080")), [("hostport-80-tcp", 8080, "TCP", 80)], set(), id="no protocol is TCP"),
    pytest.param(
        bound(("53/UdP", "53")), [("hostport-53-udp", 53, "UDP", 53)], set(), id="the protocol is read in any case"
    ),
    pytest.param(
        {"ExposedPorts": {"80/tcp": {}}},
        [("exposedport-80-tcp", 80, "TCP", None)],
        set(),
        id="an exposed port has no target port",
    ),
    pytest.param(
        {"ExposedPorts": {"80/tcp": {}}, **bound(("80/tcp", "8080"))},
        [("exposedport-80-tcp", 80, "TCP", None), ("hostport-80-tcp", 8080, "TCP", 80)],
        set(),
        id="different numbers stand side by side",
    ),
    pytest.param(
        {"ExposedPorts": {"80/tcp": {}}, **bound(("80/tcp", "80"))},
        [("hostport-80-tcp", 80, "TCP", 80)],
        set(),
        id="a binding of the same number replaces the exposed port",
    ),
    pytest.param(
        bound(("53/tcp", "53"), ("53/udp", "53")),
        [("hostport-53-udp", 53, "UDP", 53)],
        {"AgentPortLost"},
        id="TCP and UDP on one number: the last one wins",
    ),
    pytest.param(
        bound(("80/tcp", "8080"), ("80/tcp", "8081")),
        [("hostport-80-tcp", 8080, "TCP", 80), ("hostport-80-tcp", 8081, "TCP", 80)],
        {"AgentPortNameTwice"},
        id="one container port on two HostPorts gets one name twice",
    ),
    pytest.param(bound(("80/tcp", "8000-8010")), None, {"AgentPortIgnored"}, id="a HostPort range is dropped"),
    pytest.param(bound(("80-90/tcp", "80")), None, {"AgentPortIgnored"}, id="a range as key is ignored"),
    pytest.param(bound(("80/tcp", "")), None, {"AgentPortIgnored"}, id="an empty HostPort is dropped"),
    pytest.param(bound(("80/icmp", "80")), None, {"AgentPortIgnored"}, id="an unknown protocol is ignored"),
    pytest.param(bound(("80/tcp/x", "80")), None, {"AgentPortIgnored"}, id="three parts are ignored"),
    pytest.param(
        bound(("//80//tcp", "81")), [("hostport-80-tcp", 81, "TCP", 80)], set(), id="empty parts of a key are dropped"
    ),
    pytest.param(bound(("  ", "80")), None, {"AgentPortIgnored"}, id="a blank key is ignored"),
    pytest.param(
        bound(("80/tcp", " +80 ")),
        [("hostport-80-tcp", 80, "TCP", 80)],
        set(),
        id="a sign and blanks are read as .NET reads them",
    ),
    pytest.param(
        bound(("80/tcp", "70000")),
        [("hostport-80-tcp", 70000, "TCP", 80)],
        {"AgentPortRange"},
        id="70000 is left for the API server to refuse",
    ),
    pytest.param(
        bound(("80/tcp", "0")),
        [("hostport-80-tcp", 0, "TCP", 80)],
        {"AgentPortRange"},
        id="0 is left for the API server to refuse",
    ),
    pytest.param(bound(("80/tcp", "99999999999")), None, {"AgentPortIgnored"}, id="a number beyond int32 is dropped"),
    pytest.param(
        {"HostConfig": {"ExposedPorts": {"80/tcp": {}}}},
        None,
        {"AgentOptionMisplaced"},
        id="ExposedPorts inside HostConfig is not seen",
    ),
    pytest.param(
        service_options(type="LoadBalancer"),
        None,
        {"AgentNoService"},
        id="serviceOptions without a port make no Service",
    ),
    pytest.param(
        {"hostconfig": {"portbindings": {"80/tcp": [{"hostport": "81"}]}}},
        [("hostport-80-tcp", 81, "TCP", 80)],
        set(),
        id="field names are read in any case",
    ),
    pytest.param(
        {"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "81"}]}}},
        [("hostport-80-tcp", 81, "TCP", 80)],
        set(),
        id="HostIp is ignored",
    ),
    pytest.param({"HostConfig": {"PortBindings": {"80/tcp": []}}}, None, set(), id="an empty binding list is no port"),
]


@pytest.mark.parametrize(("options", "ports", "rules"), PORTS)
def test_ports(options: dict[str, Any], ports: list[Row] | None, rules: set[str]) -> None:
    prediction = predict_services(content(web=options))
    found = [
        (port.name, port.port, port.protocol, port.target_port)
        for service in prediction.services
        for port in service.ports
    ]
    assert found == (ports or [])
    assert {item.rule for item in prediction.findings} == rules
    assert not prediction.plan_rejected


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"HostConfig": {"PortBindings": {"/": [{"HostPort": "80"}]}}}, id="the key / alone"),
        pytest.param({"HostConfig": {"PortBindings": {"80/tcp": None}}}, id="a null binding list"),
        pytest.param({**bound(("80", "80")), "Labels": {"///": "x"}}, id="a label that leaves no annotation key"),
        pytest.param({**bound(("80", "80")), "Labels": {"a" * 64: "x"}}, id="a label that is too long"),
    ],
)
def test_input_on_which_the_whole_pass_fails(options: dict[str, Any]) -> None:
    prediction = predict_services(content(web=options, other=bound(("81", "81"))))
    assert prediction.plan_rejected
    assert "AgentPassFails" in {item.rule for item in prediction.findings}


@pytest.mark.parametrize(
    ("options", "default", "expected", "rules"),
    [
        pytest.param(
            bound(("80", "80")), "LoadBalancer", "LoadBalancer", set(), id="bindings take the agent's default"
        ),
        pytest.param(bound(("80", "80")), "ClusterIP", "ClusterIP", set(), id="also when that is ClusterIP"),
        pytest.param(
            {"ExposedPorts": {"80": {}}}, "LoadBalancer", "ClusterIP", set(), id="exposed ports alone are ClusterIP"
        ),
        pytest.param(
            {"ExposedPorts": {"80": {}}, "HostConfig": {"PortBindings": {}}},
            "LoadBalancer",
            "LoadBalancer",
            set(),
            id="empty PortBindings count as present",
        ),
        pytest.param(
            {"ExposedPorts": {"80": {}}, "HostConfig": {"PortBindings": None}},
            "LoadBalancer",
            "ClusterIP",
            set(),
            id="null PortBindings count as absent",
        ),
        pytest.param(
            {**bound(("80", "80")), **service_options(type="cluSTERip")},
            "LoadBalancer",
            "ClusterIP",
            set(),
            id="the type in any case",
        ),
        pytest.param(
            {**bound(("80", "80")), **service_options(type="2")},
            "LoadBalancer",
            "NodePort",
            set(),
            id="the type as a number",
        ),
        pytest.param(
            {**bound(("80", "80")), **service_options(type="ExternalName")},
            "ClusterIP",
            "ClusterIP",
            {"AgentTypeUnknown"},
            id="an unknown type falls back",
        ),
        pytest.param(
            {**bound(("80", "80")), **service_options(type="7")},
            "ClusterIP",
            "7",
            {"AgentTypeInvalid"},
            id="a number out of the enum is passed on",
        ),
        pytest.param(
            {**bound(("80", "80")), "K8S-Experimental": {"serviceOptions": {"type": "NodePort"}}},
            "ClusterIP",
            "ClusterIP",
            {"AgentOptionIgnored"},
            id="the section name counts with its case",
        ),
        pytest.param(
            {**bound(("80", "80")), "k8s-experimental": {"SERVICEoptions": {"TYPE": "NodePort"}}},
            "ClusterIP",
            "NodePort",
            set(),
            id="inner names do not",
        ),
        pytest.param(
            {**bound(("80", "80")), "k8s-experimental": {"service-options": {"type": "NodePort"}}},
            "ClusterIP",
            "ClusterIP",
            {"AgentOptionIgnored"},
            id="service-options is no key",
        ),
        pytest.param(
            {**bound(("80", "80")), "k8s-experimental": [1]},
            "ClusterIP",
            "ClusterIP",
            {"AgentOptionIgnored"},
            id="a section that is no object is ignored whole",
        ),
    ],
)
def test_type(options: dict[str, Any], default: str, expected: str, rules: set[str]) -> None:
    prediction = predict_services(content(web=options), default_type=default)
    assert [service.type for service in prediction.services] == [expected]
    assert {item.rule for item in prediction.findings} == rules


def test_without_the_extensions_service_options_are_not_read() -> None:
    options = {**bound(("80", "80")), **service_options(type="NodePort", loadBalancerIP="10.0.0.7")}
    (service,) = predict_services(content(web=options), default_type="ClusterIP", extensions=False).services
    assert (service.type, service.load_balancer_ip) == ("ClusterIP", None)


def test_the_whole_object() -> None:
    options = {
        **bound(("80/tcp", "8080")),
        **service_options(type="LoadBalancer", loadBalancerIP="10.0.0.7"),
        "Labels": {"metallb.universe.tf/allow-shared-ip": "k"},
    }
    (service,) = predict_services(content(web=options), device_id="Edge_1").services
    labels = {"net.azure-devices.edge.module": "web", "net.azure-devices.edge.deviceid": "edge_1"}
    assert service.to_json() == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "labels": labels, "annotations": {"metallb.universe.tf/allow-shared-ip": "k"}},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerIP": "10.0.0.7",
            "ports": [{"name": "hostport-80-tcp", "port": 8080, "targetPort": 80, "protocol": "TCP"}],
            "selector": labels,
        },
    }


def test_an_address_is_copied_as_it_is_for_any_type() -> None:
    options = {**bound(("80", "80")), **service_options(type="ClusterIP", loadBalancerIP="not-an-address")}
    prediction = predict_services(content(web=options))
    assert prediction.services[0].load_balancer_ip == "not-an-address"
    assert {item.rule for item in prediction.findings} == {"AgentAddressInvalid", "AgentAddressUnused"}


@pytest.mark.parametrize(
    ("module", "name", "rules"),
    [
        pytest.param("my_module", "mymodule", {"ModuleNameMangled"}, id="underscores are deleted"),
        pytest.param("My.Module", "my.module", {"AgentServiceName"}, id="a dot survives and no Service can have it"),
        pytest.param("1module", "1module", {"AgentServiceName"}, id="a leading digit"),
        pytest.param("tail-", "tail-", {"AgentServiceName"}, id="a trailing hyphen"),
        pytest.param("a" * 64, "a" * 64, {"AgentServiceName"}, id="64 characters are not cut"),
        pytest.param("ü", "", {"AgentServiceName"}, id="nothing is left"),
    ],
)
def test_names(module: str, name: str, rules: set[str]) -> None:
    prediction = predict_services(content(**{module: bound(("80", "80"))}))
    assert [service.name for service in prediction.services] == [name]
    assert {item.rule for item in prediction.findings} == rules


def test_two_modules_with_one_name_reject_the_whole_plan() -> None:
    prediction = predict_services(content(my_mod={}, mymod={}))
    assert prediction.plan_rejected
    assert [item.rule for item in prediction.findings] == ["ModuleNameCollision"]


def test_system_modules_have_services_too() -> None:
    hub = {"settings": {"image": "h:1", "createOptions": json.dumps(bound(("443/tcp", "443")))}}
    found = predict_services({"$edgeAgent": {"properties.desired": {"systemModules": {"edgeHub": hub}}}})
    assert [(service.name, service.module) for service in found.services] == [("edgehub", "edgeHub")]
    assert found.findings == []


def test_a_part_of_a_module_is_no_module() -> None:
    part = {"$edgeAgent": {"properties.desired.modules.web.env.A": {"value": "1"}}}
    assert list(modules_of(part)) == []


def test_modules_of_a_layer_are_found() -> None:
    entry = {"settings": {"image": "a:1", "createOptions": json.dumps(bound(("80", "80")))}}
    found = predict_services({"$edgeAgent": {"properties.desired.modules.web": entry}})
    assert [service.name for service in found.services] == ["web"]


def test_one_address_for_two_services_needs_a_sharing_key() -> None:
    def one(port: str, key: str | None) -> dict[str, Any]:
        options = {**bound((port, port)), **service_options(type="LoadBalancer", loadBalancerIP="10.0.0.7")}
        return {**options, "Labels": {"metallb.universe.tf/allow-shared-ip": key}} if key else options

    def rules(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
        return [item.rule for item in predict_services(content(a=a, b=b)).findings]

    assert rules(one("80", None), one("81", None)) == ["AgentAddressTwice"]
    assert rules(one("80", "k"), one("81", "k")) == []
    assert rules(one("80", "k"), one("80", "k")) == ["PortClash"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("80", 80),
        ("+80", 80),
        (" 80 ", 80),
        ("-1", -1),
        ("8 0", None),
        ("", None),
        ("2147483648", None),
        ("0x50", None),
        (80, 80),
        (True, None),
        (None, None),
    ],
)
def test_int32_as_dotnet_reads_it(text: object, number: int | None) -> None:
    assert dotnet_int32(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("LoadBalancer", 1),
        (" nodeport ", 2),
        ("1", 1),
        ("-1", -1),
        ("ClusterIP,NodePort", 2),
        ("", None),
        ("x,ClusterIP", None),
    ],
)
def test_enum_as_dotnet_reads_it(text: str, number: int | None) -> None:
    assert parse_service_type(text) == number


def test_sanitisers_trim_before_they_delete() -> None:
    assert sanitize_dns_value("a-z-/--1") == "a-z---1"
    assert sanitize_dns_value("--1Web--") == "web"
    assert sanitize_dns_domain("Example.COM") == "example.com"
    assert sanitize_annotation_key("Example.com/-My_Key.x-") == "example.com/My_Key.x"
    for wrong in ("", "---"):
        with pytest.raises(RuleError):
            sanitize_dns_value(wrong)
    with pytest.raises(RuleError):
        sanitize_dns_domain("a..b")
