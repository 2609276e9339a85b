"""Rendering and checking deployment manifests."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from edge_expose_cloud.iotedge.create_options import read_create_options
from edge_expose_cloud.iotedge.edge_agent import predict_services
from edge_expose_cloud.manifest.checks import budgets, check_manifest
from edge_expose_cloud.manifest.content import ManifestDocument, read_manifest
from edge_expose_cloud.manifest.encoding import decode_content, encode
from edge_expose_cloud.manifest.render import manifest_text, render
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.addressing import parse_address


def spec(text: str) -> Spec:
    loaded = load_spec(text, "s.yaml")
    assert loaded.spec is not None, loaded.findings
    return loaded.spec


DEVICE = """
schemaVersion: "1.0"
name: s
target: {device: d1}
modules: {web: {image: "a/web:1", desired: {x: 1}}}
exposures: {w: {module: web, ports: ["80"]}}
"""
LAYER = DEVICE.replace("{device: d1}", "{condition: '*', priority: 5, layered: true}")
BASE = DEVICE.replace("{device: d1}", "{condition: '*'}")
AGENT = (
    DEVICE + "driver: manifest\nnetwork: {externalServiceIPs: 10.0.0.10-10.0.0.12, reserved: {edgehub: 10.0.0.10}}\n"
)


def rules(content: Any) -> list[str]:
    document = read_manifest(content)
    assert isinstance(document, ManifestDocument), document
    return sorted(item.rule for item in check_manifest(document))


def test_the_same_spec_gives_the_same_bytes_whatever_its_order() -> None:
    shuffled = "\n".join(reversed(DEVICE.strip().splitlines()))
    assert manifest_text(render(spec(DEVICE))) == manifest_text(render(spec(shuffled)))


def test_a_device_manifest_writes_the_whole_desired_section() -> None:
    content = render(spec(DEVICE))["modulesContent"]
    assert content["edge-expose"] == {
        "properties.desired": {"schemaVersion": "1.0", "exposures": {"w": {"module": "web", "ports": ["80"]}}}
    }
    assert content["web"] == {"properties.desired": {"x": 1}}
    assert "edge-expose" in content["$edgeAgent"]["properties.desired"]["modules"]


@pytest.mark.parametrize("text", [BASE, LAYER], ids=["base", "layer"])
def test_an_automatic_deployment_never_writes_a_bare_desired_section_for_our_module(text: str) -> None:
    keys = set(render(spec(text))["modulesContent"]["edge-expose"])
    assert keys == {"properties.desired.schemaVersion", "properties.desired.exposures.w"}


def test_a_layer_writes_single_modules_only() -> None:
    content = render(spec(LAYER))["modulesContent"]
    assert set(content["$edgeAgent"]) == {"properties.desired.modules.web", "properties.desired.modules.edge-expose"}
    assert content["web"] == {"properties.desired.x": 1}


def test_our_module_is_not_added_when_the_spec_lists_it_or_says_so() -> None:
    listed = DEVICE.replace("modules: {", 'modules: {edge-expose: {image: "my/module:9"}, ')
    modules = render(spec(listed))["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    assert modules["edge-expose"]["settings"]["image"] == "my/module:9"
    without = render(spec(DEVICE + "addModule: false\n"))["modulesContent"]
    assert "edge-expose" not in without["$edgeAgent"]["properties.desired"]["modules"]
    assert "edge-expose" in without


@pytest.mark.parametrize(
    ("change", "agent", "hub"),
    [
        pytest.param(("", ""), "1.0", "1.0", id="nothing needs 1.1"),
        pytest.param(
            ('image: "a/web:1"', 'image: "a/web:1", startupOrder: 1'), "1.1", "1.0", id="a start order needs 1.1"
        ),
        pytest.param(
            ("name: s", "name: s\nroutes: {u: {route: 'FROM /* INTO $upstream', priority: 1}}"),
            "1.0",
            "1.1",
            id="a route priority needs 1.1",
        ),
    ],
)
def test_schema_versions_are_the_lowest_that_hold_the_spec(change: tuple[str, str], agent: str, hub: str) -> None:
    content = render(spec(DEVICE.replace(*change) if change[0] else DEVICE))["modulesContent"]
    assert content["$edgeAgent"]["properties.desired"]["schemaVersion"] == agent
    assert content["$edgeHub"]["properties.desired"]["schemaVersion"] == hub
    assert rules(content) == []


def test_the_manifest_driver_writes_what_edge_agent_makes_into_that_service() -> None:
    content = render(spec(AGENT))["modulesContent"]
    assert "edge-expose" not in content
    services = {service.module: service for service in predict_services(content).services}
    web = services["web"].to_json()["spec"]
    assert (web["type"], web["loadBalancerIP"]) == ("LoadBalancer", "10.0.0.11")
    assert web["ports"] == [{"name": "hostport-80-tcp", "port": 80, "targetPort": 80, "protocol": "TCP"}]


def test_the_manifest_driver_keeps_the_address_that_the_hub_already_gives() -> None:
    content = render(spec(AGENT), {"web": parse_address("10.0.0.12")})["modulesContent"]
    options = read_create_options(content["$edgeAgent"]["properties.desired"]["modules"]["web"]["settings"])
    assert options["k8s-experimental"]["serviceOptions"] == {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.12"}


@pytest.mark.parametrize(
    "exposure",
    [
        "{selector: [a=b], ports: ['80']}",
        "{module: web, ports: ['80', '81/udp']}",
        "{module: web, type: ClusterIP, ports: ['53', '53/udp']}",
        "{module: web, ports: ['80:8080', '81:8080']}",
        "{module: web, ports: ['80:http']}",
        "{module: web, ports: ['80'], allowFrom: [10.0.0.0/8]}",
        "{module: web, ports: ['80'], probe: tcp}",
        "{module: web, ports: ['80'], expires: '2030-01-01T00:00:00Z'}",
    ],
)
def test_the_manifest_driver_refuses_what_edge_agent_cannot_express(exposure: str) -> None:
    text = AGENT.replace('{module: web, ports: ["80"]}', exposure)
    assert "DriverManifestInexpressible" in {item.rule for item in load_spec(text, "s").findings}


def test_sharing_pools_and_annotations_travel_as_docker_labels() -> None:
    text = AGENT.replace(
        'ports: ["80"]}', 'ports: ["80"], share: k, pool: p, hostname: a.example.com, annotations: ["x/y=z"]}'
    )
    (service,) = [
        item for item in predict_services(render(spec(text))["modulesContent"]).services if item.module == "web"
    ]
    assert dict(service.annotations) == {
        "metallb.universe.tf/allow-shared-ip": "k",
        "metallb.universe.tf/address-pool": "p",
        "external-dns.alpha.kubernetes.io/hostname": "a.example.com",
        "x/y": "z",
    }


GOOD = render(spec(DEVICE.replace('image: "a/web:1"', 'image: "a/web:1", startupOrder: 1, env: {A: 1}')))[
    "modulesContent"
]


def changed(path: str, value: Any, document: Any = GOOD) -> dict[str, Any]:
    """A copy with one value set (or removed, for ...); dots inside a key are written as /."""
    made: dict[str, Any] = copy.deepcopy(document)
    node: Any = made
    *parts, last = (part.replace("/", ".") for part in path.split("."))
    for part in parts:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return made


A = "$edgeAgent.properties/desired"
H = "$edgeHub.properties/desired"

MANIFESTS: list[Any] = [
    pytest.param(GOOD, [], id="a rendered manifest"),
    pytest.param({"modulesContent": GOOD}, [], id="modulesContent"),
    pytest.param({"id": "x", "content": {"modulesContent": GOOD}}, [], id="content.modulesContent"),
    pytest.param({"moduleContent": GOOD}, ["ManifestLegacy"], id="the old moduleContent"),
    pytest.param(
        {
            "$schema-template": "4.0.0",
            "modulesContent": changed(f"{A}.modules.web.settings.createOptions", {"HostConfig": {}}),
        },
        [],
        id="a template with object createOptions",
    ),
    pytest.param(
        {"$schema-template": "4.0.0", "modulesContent": changed(f"{A}.modules.web.status", "${STATUS}")},
        [],
        id="a template with a placeholder for a choice",
    ),
    pytest.param(
        changed(f"{A}.modules.web.color", "red"), ["ManifestSchema"], id="1.1 refuses an extra key in a module"
    ),
    pytest.param(
        changed(f"{A}.schemaVersion", "1.0", changed(f"{A}.modules.web.color", "red")), [], id="1.0 lets it pass"
    ),
    pytest.param(changed(f"{A}.modules.web.status", "paused"), ["ManifestSchema"], id="an unknown status"),
    pytest.param(changed(f"{A}.modules.web.restartPolicy", ...), ["ManifestSchema"], id="no restart policy"),
    pytest.param(changed(f"{A}.modules.web.settings.image", 5), ["ManifestSchema"], id="an image that is no text"),
    pytest.param(
        changed(f"{A}.modules.web.settings.createOptions", {"a": 1}),
        ["ManifestSchema"],
        id="createOptions as an object",
    ),
    pytest.param(
        changed(f"{A}.modules.web.settings.createOptions", "{oops"),
        ["CreateOptionsForm"],
        id="createOptions that are not JSON",
    ),
    pytest.param(
        changed(f"{A}.modules.web.settings.createOptions02", "x"),
        ["CreateOptionsForm"],
        id="a gap in the createOptions fields",
    ),
    pytest.param(changed(f"{A}.modules.web.settings.note", "x"), ["ManifestSchema"], id="an extra key in settings"),
    pytest.param(
        changed(f"{A}.modules.web.env", {"A.B": {"value": 1}}),
        ["IllegalTwinKey", "ManifestSchema"],
        id="a bad environment name",
    ),
    pytest.param(changed(f"{A}.modules.web.startupOrder", -1), ["ManifestSchema"], id="a negative start order"),
    pytest.param(changed(f"{A}.systemModules.edgeHub", ...), ["ManifestSchema"], id="no edgeHub"),
    pytest.param(changed(f"{A}.schemaVersion", "2.0"), ["ManifestAgentVersion"], id="a major version nobody reads"),
    pytest.param(changed(f"{A}.schemaVersion", ...), ["ManifestAgentVersion"], id="no schemaVersion"),
    pytest.param(changed(f"{A}.schemaVersion", "1.1.0"), ["ManifestUnchecked"], id="1.1.0 has no schema"),
    pytest.param(changed(f"{A}.schemaVersion", 1.1), ["ManifestAgentVersion"], id="a schemaVersion without quotes"),
    pytest.param(changed(f"{A}.schemaVersion", "${V}"), ["ManifestAgentVersion"], id="a placeholder and no template"),
    pytest.param(
        {
            "$schema-template": "4.0.0",
            "modulesContent": changed(f"{H}.schemaVersion", "${V}", changed(f"{H}.routes", 5)),
        },
        ["ManifestUnchecked"],
        id="a template whose schemaVersion is filled in later",
    ),
    pytest.param(changed(f"{H}.routes", ...), ["ManifestSchema"], id="no routes"),
    pytest.param(
        changed(f"{H}.routes", {"u": "FROM nowhere INTO $upstream"}),
        ["RouteSyntax"],
        id="a route that edgeHub cannot parse",
    ),
    pytest.param(
        changed(
            f"{H}.schemaVersion",
            "1.1",
            changed(f"{H}.routes", {"u": {"route": "FROM /* INTO $upstream", "priority": 10}}),
        ),
        ["ManifestSchema"],
        id="a route priority above 9",
    ),
    pytest.param(
        changed(f"{H}.schemaVersion", "1.1", changed(f"{H}.storeAndForwardConfiguration.storeLimits", {})),
        ["ManifestSchema"],
        id="1.1 refuses storeLimits",
    ),
    pytest.param(changed("$edgeAgent", ...), ["ManifestForm"], id="no $edgeAgent"),
    pytest.param(changed("web.other", {}), ["ManifestContentKey"], id="a key that is not properties.desired"),
    pytest.param({"$edgeAgent": {}, "web": {"properties.desired.x": 1}}, [], id="a layer with an empty $edgeAgent"),
    pytest.param(
        {"$edgeAgent": {"properties.desired.systemModules.edgeHub": {}}},
        ["ManifestLayerKey"],
        id="a layer with a system module",
    ),
    *(
        pytest.param({"$edgeAgent": {f"properties.desired.{key}": {}}}, found, id=f"a layer with {key}")
        for key, found in (
            ("modules", ["ManifestLayerKey"]),
            ("runtime.settings.registryCredentials.r", []),
            ("runtime.settings.registryCredentials.r.address", []),
            ("runtime.settings.registryCredentials", ["ManifestLayerWide"]),
            ("runtime.settings", ["ManifestLayerWide"]),
            ("runtime", ["ManifestLayerWide"]),
            ("schemaVersion", ["ManifestLayerWide"]),
            ("modules.web.env.A", []),
        )
    ),
    *(
        pytest.param(
            {"$edgeAgent": {}, "$edgeHub": {f"properties.desired{key}": {}}}, found, id=f"a layer with a hub's{key}"
        )
        for key, found in (
            (".routes.r", []),
            (".routes", ["ManifestLayerWide"]),
            ("", ["ManifestLayerWide"]),
            (".storeAndForwardConfiguration", ["ManifestLayerWide"]),
        )
    ),
    *(
        pytest.param(changed(f"{H}.routes", {"u": f"FROM {source} INTO $upstream"}), found, id=f"a route from {source}")
        for source, found in (
            ("/*", []),
            ("/twinChangeNotifications", []),
            ("/messages/*", []),
            ("/messages/modules/web", []),
            ("/messages/modules/web/*", []),
            ("/messages/modules/*/outputs/*", []),
            ("/messages/modules/web/outputs/o", []),
            ("/messages/modules/web/outputs/o/*", []),
            ("/Messages/Modules/web/Outputs/o", []),
            ("/mesages/*", ["RouteSource"]),
            ("/anything/else", ["RouteSource"]),
            ("/messages/modules/web/inputs/i", ["RouteSource"]),
            ("messages/*", ["RouteSyntax"]),
            ("/", ["RouteSyntax"]),
            ("//a", ["RouteSyntax"]),
        )
    ),
    pytest.param(changed("web.properties/desired", {"k": "x" * 5000}), ["StringTooLong"], id="a text above 4 KB"),
    pytest.param(
        changed("web.properties/desired", {f"k{i}": "x" * 4000 for i in range(9)}),
        ["TwinTooLarge"],
        id="more than 32 KB",
    ),
    pytest.param(
        changed("web.properties/desired", {f"k{i}": "x" * 4000 for i in range(7)}),
        ["TwinBudget"],
        id="more than 80 % of 32 KB",
    ),
    pytest.param(changed("web.properties/desired", {"a": [1, None]}), ["NullInArray"], id="null in an array"),
    pytest.param(
        changed(
            "edge-expose.properties/desired",
            {"schemaVersion": "1.0", "exposures": {"w": {"module": "web", "ports": ["x"]}}},
        ),
        ["InvalidPort"],
        id="an exposure that is wrong",
    ),
    pytest.param(
        changed("edge-expose.properties/desired", {"exposures": {}}),
        ["ManifestForm"],
        id="a document our module would refuse",
    ),
]


ROUTE = {"route": "FROM /messages/* INTO $upstream", "priority": 9, "timeToLiveSecs": 4294967295}
CREDENTIALS = {"acme": {"address": "r.example.com", "username": "u", "password": "p"}}
BROKER = {"bridges": [{"endpoint": "$upstream", "settings": [{"direction": "in", "topic": "a/#"}]}]}
#: what manifests of all ages hold, and `az iot edge set-modules` lets pass
ACCEPTED: list[Any] = [
    pytest.param(changed(f"{H}.storeAndForwardConfiguration.storeLimits", {"maxSizeBytes": 9}), id="1.0: store limits"),
    pytest.param(
        changed(f"{H}.schemaVersion", "1.1", changed(f"{H}.routes", {"u": ROUTE, "v": ROUTE["route"]})),
        id="1.1: a route as object and one as text",
    ),
    pytest.param(changed(f"{H}.schemaVersion", "1.1", changed(f"{H}.routes", {})), id="1.1: no route"),
    pytest.param(
        changed(f"{H}.schemaVersion", "1.2", changed(f"{H}.mqttBroker", BROKER)), id="1.2: the broker that was removed"
    ),
    pytest.param(
        changed(f"{A}.modules.web.env", {"T": {"value": "x"}, "N": {"value": 1.5}, "B": {"value": False}}),
        id="environment: text, number, yes or no",
    ),
    pytest.param(changed(f"{A}.modules.web.env", {}), id="an empty environment"),
    pytest.param(changed(f"{A}.modules.web.version", "1.0"), id="the version of a module, which nobody reads"),
    pytest.param(changed(f"{A}.modules.web.imagePullPolicy", "never"), id="an image that is never pulled"),
    pytest.param(changed(f"{A}.modules.web.startupOrder", 4294967295), id="the highest start order"),
    pytest.param(changed(f"{A}.modules.web.status", "stopped"), id="a module that is stopped"),
    *(
        pytest.param(changed(f"{A}.modules.web.restartPolicy", policy), id=f"restart policy {policy}")
        for policy in ("never", "on-failure", "on-unhealthy", "always")
    ),
    pytest.param(changed(f"{A}.runtime.settings.registryCredentials", CREDENTIALS), id="registry credentials"),
    pytest.param(changed(f"{A}.systemModules.edgeAgent.env", {"RuntimeLogLevel": {"value": "debug"}}), id="agent env"),
    pytest.param(
        changed(
            f"{A}.modules.web.settings.createOptions01",
            "}",
            changed(f"{A}.modules.web.settings.createOptions", '{"a": {}'),
        ),
        id="createOptions in two fields",
    ),
    pytest.param(
        {
            "id": "north",
            "schemaVersion": "1.0",
            "labels": {},
            "content": {"modulesContent": GOOD, "deviceContent": {}},
            "targetCondition": "*",
            "systemMetrics": {"results": {}, "queries": {}},
            "etag": "MQ==",
        },
        id="a configuration as the hub gives it",
    ),
]


@pytest.mark.parametrize("document", ACCEPTED)
def test_what_is_accepted(document: Any) -> None:
    read = read_manifest(document)
    assert isinstance(read, ManifestDocument), read
    assert [item for item in check_manifest(read) if item.severity == "error"] == []


@pytest.mark.parametrize(("document", "expected"), MANIFESTS)
def test_check(document: Any, expected: list[str]) -> None:
    assert rules(document) == expected


@pytest.mark.parametrize("document", [5, [], {}, {"modulesContent": 3}, {"content": {}}])
def test_what_is_no_manifest(document: Any) -> None:
    found = read_manifest(document)
    assert not isinstance(found, ManifestDocument)
    assert found.rule == "ManifestForm"


def test_a_version_without_quotes_is_told_to_be_quoted() -> None:
    document = read_manifest(changed(f"{A}.schemaVersion", 1.1))
    assert isinstance(document, ManifestDocument)
    assert [item.hint for item in check_manifest(document)] == ['Write it in quotes: "1.1".']


def test_a_placeholder_for_the_version_is_named_at_its_own_place() -> None:
    document = read_manifest({"$schema-template": "4", "modulesContent": changed(f"{A}.schemaVersion", "${V}")})
    assert isinstance(document, ManifestDocument)
    (found,) = check_manifest(document)
    assert (found.severity, found.path) == ("info", "modulesContent.$edgeAgent.properties.desired.schemaVersion")


REGISTRY = 'registries: {r: {address: "$upstream:443", username: u, password: "${env:P}"}}\n'


def test_a_layer_sets_each_registry_by_a_key_of_its_own() -> None:
    agent = render(spec(LAYER + REGISTRY))["modulesContent"]["$edgeAgent"]
    entry = {"address": "$upstream:443", "username": "u", "password": "${env:P}"}
    assert agent["properties.desired.runtime.settings.registryCredentials.r"] == entry


def test_a_spec_may_leave_the_hubs_section_out() -> None:
    content = render(spec(DEVICE + "addEdgeHub: false\n"))["modulesContent"]
    assert "$edgeHub" not in content
    assert "edgeHub" in content["$edgeAgent"]["properties.desired"]["systemModules"]


@pytest.mark.parametrize("more", ["routes: {u: 'FROM /* INTO $upstream'}", "runtime: {timeToLiveSecs: 60}"])
def test_what_belongs_to_the_hubs_section_cannot_be_set_when_it_is_left_out(more: str) -> None:
    text = f"{DEVICE}addEdgeHub: false\n{more}\n"
    found = [(item.rule, item.line) for item in load_spec(text, "s").findings if item.severity == "error"]
    assert found == [("EdgeHubLeftOut", len(text.splitlines()))]


KEEPS: list[Any] = [
    pytest.param({"web": {"y": 2}}, {"properties.desired": {"x": 1, "y": 2}}, id="a patch of the desired section"),
    pytest.param(
        {"web": {"properties.desired": {"y": 2}}}, {"properties.desired": {"x": 1, "y": 2}}, id="of the section"
    ),
    pytest.param(
        {"web": {"properties.desired": None, "properties.desired.y": 2}}, {"properties.desired.y": 2}, id="keys"
    ),
    pytest.param({"web": {"x": None}}, {"properties.desired": {}}, id="a key that is taken away"),
    pytest.param({"web": {}}, {"properties.desired": {"x": 1}}, id="an empty patch"),
]


@pytest.mark.parametrize(("keep", "expected"), KEEPS)
def test_what_is_kept_is_laid_over_what_is_rendered(keep: Any, expected: Any) -> None:
    assert render(spec(DEVICE + f"keep: {json.dumps(keep)}\n"))["modulesContent"]["web"] == expected


def test_what_is_kept_of_a_layer_is_laid_over_its_single_keys() -> None:
    content = render(spec(LAYER + "keep: {web: {x: null, y: 2}}\n"))["modulesContent"]
    assert content["web"] == {"properties.desired.y": 2}


@pytest.mark.parametrize("key", ["properties.desired.modules.web.settings", "properties.desired.modules.web"])
def test_options_are_objects_until_they_are_sent_whatever_key_they_stand_below(key: str) -> None:
    settings = {"image": "a:1", "createOptions": '{ "Env":', "createOptions01": ' ["A=1"]}'}
    content = {"$edgeAgent": {key: settings if key.endswith("settings") else {"settings": settings}}}
    decoded = decode_content(content)
    assert '"Env": ["A=1"]' in json.dumps(decoded)
    assert '{\\"Env\\":[\\"A=1\\"]}' in json.dumps(encode(decoded))


def test_options_of_another_twin_than_edge_agents_stay_text() -> None:
    desired = {"settings": {"createOptions": '{ "a": 1}'}, "createOptions": "{}"}
    text = DEVICE.replace("{x: 1}", json.dumps(desired)) + "keep: {web: {y: 1}}\n"
    assert render(spec(text))["modulesContent"]["web"] == {"properties.desired": {**desired, "y": 1}}


def test_the_meter_counts_the_fullest_twin_first() -> None:
    meters = budgets(changed("web.properties/desired", {"k": "x" * 4000}))
    assert meters[0].module == "web"
    assert meters[0].bytes == 4001


def test_nothing_of_a_registry_password_is_shown() -> None:
    content = changed(
        f"{A}.runtime.settings.registryCredentials", {"r": {"username": "u", "password": ["hunter2"], "address": "a"}}
    )
    document = read_manifest(content)
    assert isinstance(document, ManifestDocument)
    found = check_manifest(document)
    assert [item.rule for item in found] == ["ManifestSchema"]
    assert "hunter2" not in json.dumps([item.to_json() for item in found])
