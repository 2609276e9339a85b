"""Loading and linting a spec: every violation, with its line."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from edge_expose_cloud.spec.inventory import load_inventory
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml

HEAD = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
network: {externalServiceIPs: 10.0.0.10-10.0.0.12, nodeIPs: 10.0.0.1-10.0.0.2, reserved: {edgehub: 10.0.0.10}}
modules:
  web: {image: "r.example.com/web:1"}
  data_base: {image: "r.example.com/db:1"}
exposures:
"""


def rules(text: str) -> set[tuple[str, int]]:
    return {(item.rule, item.line) for item in load_spec(text, "s.yaml").findings if item.severity != "info"}


def body(text: str) -> str:
    return HEAD + textwrap.indent(textwrap.dedent(text).strip(), "  ") + "\n"


MANGLED = ("ModuleNameMangled", 7)

EXPOSURES: list[Any] = [
    pytest.param("w: {module: web, ports: ['80']}", set(), id="nothing wrong"),
    pytest.param(
        "w: {module: web, ports: ['80'], address: 10.0.0.99}",
        {("AddressOutsideRange", 9)},
        id="an address outside the range",
    ),
    pytest.param(
        "w: {module: web, ports: ['80'], address: 10.0.0.10}", {("AddressReserved", 9)}, id="a reserved address"
    ),
    pytest.param("w: {module: web, ports: ['80'], address: 10.0.0.1}", {("AddressIsNodeIp", 9)}, id="a node IP"),
    pytest.param("w: {module: nope, ports: ['80']}", {("ExposureModuleUnknown", 9)}, id="a module that is not there"),
    pytest.param("web: {module: web, ports: ['80']}", {("ExposureNamedLikeModule", 9)}, id="named like a module"),
    pytest.param(
        "database: {module: web, ports: ['80']}",
        {("ExposureNamedLikeModule", 9)},
        id="named like a module once it is mangled",
    ),
    pytest.param("w: {module: web, ports: ['31000:80']}", {("PortReserved", 9)}, id="a port of Azure Stack Edge"),
    pytest.param("w: {module: web, ports: ['80:35001']}", {("ModulePortReserved", 9)}, id="a port of the sidecar"),
    pytest.param("w: {module: web, ports: ['80'], colour: red}", {("UnknownField", 9)}, id="an unknown field"),
    pytest.param("w: {module: web, ports: ['0:80', 'x']}", {("InvalidPort", 9)}, id="ports that cannot be read"),
    pytest.param("W_: {module: web, ports: ['80']}", {("InvalidName", 9)}, id="a name no Service can have"),
    pytest.param("w:", {("MissingField", 9)}, id="an empty exposure"),
    pytest.param(
        """
        a: {module: web, ports: ['80'], address: 10.0.0.11}
        b: {module: web, ports: ['81'], address: 10.0.0.11}
        """,
        {("AddressTwice", 10)},
        id="one address twice without share",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80'], address: 10.0.0.11, share: k}
        b: {module: web, ports: ['81'], address: 10.0.0.11, share: k}
        """,
        set(),
        id="one address twice with a share key",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80'], share: k}
        b: {module: web, ports: ['80'], share: k}
        """,
        {("PortClash", 10)},
        id="one port twice on a shared address",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80'], address: 10.0.0.11, share: k}
        b: {module: web, ports: ['81'], address: 10.0.0.12, share: k}
        """,
        {("ShareAddressDiffers", 10)},
        id="one share key with two addresses",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80', '80/udp']}
        a-udp: {module: web, ports: ['81']}
        """,
        {("ServiceNameClash", 10)},
        id="the UDP half of one takes the name of another",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80']}
        b: {module: web, ports: ['80']}
        c: {module: web, ports: ['80']}
        """,
        {("RangeTooSmall", 11)},
        id="more addresses than the range has",
    ),
    pytest.param(
        """
        a: {module: web, ports: ['80'], enabled: false, address: 10.0.0.99}
        """,
        set(),
        id="a withdrawn exposure is not checked for addresses",
    ),
]


@pytest.mark.parametrize(("text", "expected"), EXPOSURES)
def test_exposures(text: str, expected: set[tuple[str, int]]) -> None:
    assert rules(body(text)) == expected | {MANGLED}


POOLED = HEAD.replace("reserved:", "pools: {dmz: 10.0.1.1-10.0.1.4}, reserved:")
SHARED = """
  a: {{module: web, ports: ['80'], share: k{0}}}
  b: {{module: web, ports: ['81'], share: k{1}}}
"""


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        pytest.param("", ", pool: dmz", {("AddressOutsideRange", 10)}, id="from the range, and from a pool"),
        pytest.param(", address: 10.0.0.11", ", pool: dmz", {("AddressOutsideRange", 10)}, id="a pin, and from a pool"),
        pytest.param(", address: 10.0.1.1", ", pool: dmz", set(), id="a pin of the pool"),
        pytest.param(", pool: dmz", "", set(), id="one of the two names the pool"),
    ],
)
def test_exposures_that_share_draw_from_one_pool(first: str, second: str, found: set[tuple[str, int]]) -> None:
    assert rules(POOLED + SHARED.format(first, second).lstrip("\n")) == found | {MANGLED}


def base(**changes: str) -> str:
    fields = {
        "schemaVersion": '"1.0"',
        "name": "s",
        "target": "{device: d1}",
        "modules": '{web: {image: "r.example.com/web:1"}}',
        **changes,
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items() if value)


SPECS: list[Any] = [
    pytest.param(base(schemaVersion="1.0"), set(), id="schemaVersion without quotes is understood"),
    pytest.param(base(schemaVersion='"2.0"'), {"SchemaVersion"}, id="another major version"),
    pytest.param(base(target=""), {"MissingField"}, id="no target"),
    pytest.param(base(target="{}"), {"TargetChoice"}, id="an empty target"),
    pytest.param(base(target="{device: a, condition: 'x'}"), {"TargetChoice"}, id="two targets"),
    pytest.param(
        base(target="{device: a, layered: true}"), {"TargetLayeredDevice", "LayerPriority"}, id="a layer for a device"
    ),
    pytest.param(base(target="{condition: ' '}"), {"TargetConditionEmpty"}, id="a blank condition"),
    pytest.param(base(colour="red"), {"UnknownField"}, id="an unknown field"),
    pytest.param(base(add_module="false"), {"UnknownField"}, id="a field in a spelling that the schema does not have"),
    pytest.param(base(modules="{web: {}}"), {"MissingField"}, id="a module without image"),
    pytest.param(base(modules="{web: {image: nginx}}"), {"ImageLatest"}, id="an image without tag"),
    pytest.param(base(modules="{web: {image: 'nginx:latest'}}"), {"ImageLatest"}, id="the tag latest"),
    pytest.param(base(modules="{web: {image: 'Bad Image:1'}}"), {"ImageForm"}, id="no image reference"),
    pytest.param(base(modules="{edgeHub: {image: 'a:1'}}"), {"ModuleNameReserved"}, id="a system module's name"),
    pytest.param(base(modules="{a.b: {image: 'a:1'}}"), {"ModuleName"}, id="a name IoT Edge refuses"),
    pytest.param(
        base(modules="{a_b: {image: 'a:1'}, ab: {image: 'a:1'}}"),
        {"ModuleNameMangled", "ModuleNameCollision"},
        id="two names become one",
    ),
    pytest.param(
        base(modules="{web: {image: 'a:1', createOptions: {HostConfig: {Privileged: true, NetworkMode: host}}}}"),
        {"ModulePrivileged", "ModuleHostNetwork"},
        id="privileged and on the host network",
    ),
    pytest.param(
        base(modules="{web: {image: 'a:1', env: {'A.B': 1}}}"), {"EnvName"}, id="an environment name IoT Edge refuses"
    ),
    pytest.param(
        base(modules="{web: {image: 'a:1', restartPolicy: sometimes}}"),
        {"InvalidValue"},
        id="an unknown restart policy",
    ),
    pytest.param(base(routes="{up: 'FROM here INTO $upstream'}"), {"RouteSyntax"}, id="a source that is none"),
    pytest.param(base(routes="{'a b': 'FROM /* INTO $upstream'}"), {"RouteName"}, id="a route name IoT Edge refuses"),
    pytest.param(
        base(routes="{up: 'FROM /messages/modules/ghost/* INTO $upstream'}"),
        {"RouteModuleUnknown"},
        id="a route of a module that is not there",
    ),
    pytest.param(
        base(registries="{r: {address: a.example.com, username: u, password: hunter2}}"),
        {"SecretInClear"},
        id="a password in the file",
    ),
    pytest.param(
        base(registries="{r: {address: a.example.com, username: u, password: '$${LATER}'}}"),
        set(),
        id="a password that another tool fills in",
    ),
    pytest.param(base(modules="{web: {image: '$upstream:443/web:1'}}"), set(), id="an image of the device above"),
    pytest.param(base(modules="{web: {image: '$upstream/a/web:1'}}"), set(), id="the same without a port"),
    pytest.param(base(modules="{web: {image: '$down:443/web:1'}}"), {"ImageForm"}, id="another variable"),
    pytest.param(base(name="'a_b+c%d*e!f-1'"), set(), id="every character that a deployment's id may have"),
    pytest.param(base(name="a" * 128), set(), id="a name of 128 characters"),
    pytest.param(base(name="a" * 129), {"InvalidValue"}, id="a name of 129 characters"),
    pytest.param(base(name="A"), {"WrongType"}, id="a name in upper case"),
    pytest.param(base(target="{device: 'Rack:1+b_c.d'}"), set(), id="a device id with other characters"),
    pytest.param(
        base(modules="{" + ", ".join(f"m{i}: {{image: 'a:1'}}" for i in range(47)) + "}"),
        set(),
        id="50 modules with ours",
    ),
    pytest.param(
        base(modules="{" + ", ".join(f"m{i}: {{image: 'a:1'}}" for i in range(48)) + "}"),
        {"ModuleCount"},
        id="51 modules",
    ),
    pytest.param(
        base(modules="{" + ", ".join(f"m{i}: {{image: 'a:1'}}" for i in range(48)) + "}", addModule="false"),
        set(),
        id="50 modules without ours",
    ),
    pytest.param(base(routes="{up: 'FROM /any/path INTO $upstream'}"), {"RouteSource"}, id="a source nobody documents"),
    pytest.param(
        base(registries="{r: {address: a.example.com, username: u, password: '${env:P}'}}"),
        set(),
        id="a password by reference",
    ),
    pytest.param(
        base(network="{externalServiceIPs: 10.0.0.1-10.0.0.9, nodeIPs: 10.0.0.5-10.0.0.6, reserved: {x: 10.0.0.1}}"),
        {"RangesOverlap"},
        id="ranges overlap",
    ),
    pytest.param(base(network="{externalServiceIPs: 10.0.0.9-10.0.0.1}"), {"ReversedRange"}, id="a reversed range"),
    pytest.param(
        base(network="{nodeIPs: 10.0.0.5-10.0.0.5, nodeCount: 1}"), {"NodeIpsTooFew"}, id="one node IP for one node"
    ),
    pytest.param(
        base(network="{externalServiceIPs: 172.28.0.5/32, serviceNetwork: 172.28.0.0/16, reserved: {x: 172.28.0.5}}"),
        {"RangeOverlapsNetwork"},
        id="a range inside the Service network",
    ),
    pytest.param(base(name="'${who}'"), {"VariableUnknown", "WrongType"}, id="a variable nobody defined"),
    pytest.param("a: 1\na: 2\n", {"DuplicateKey"}, id="a key twice"),
    pytest.param("a: [1\n", {"YamlSyntax"}, id="not YAML"),
    pytest.param("- 1\n", {"WrongType"}, id="a list"),
    pytest.param("", {"WrongType"}, id="an empty file"),
    pytest.param(
        "a: &a [1]\nb: &b [*a, *a]\n"
        + "".join(f"{chr(99 + i)}: &{chr(99 + i)} [{', '.join(['*' + chr(98 + i)] * 9)}]\n" for i in range(9)),
        {"YamlSyntax"},
        id="aliases that explode",
    ),
]


@pytest.mark.parametrize(("text", "expected"), SPECS)
def test_specs(text: str, expected: set[str]) -> None:
    assert {item.rule for item in load_spec(text, "s.yaml").findings if item.severity != "info"} == expected


def test_all_violations_of_all_kinds_are_shown_at_once_with_their_lines() -> None:
    text = body("w: {module: web, ports: ['80'], address: 10.0.0.99}").replace(
        '"r.example.com/web:1"', '"r.example.com/web:1", colour: red'
    )
    found = load_spec(text, "s.yaml")
    assert found.spec is None
    assert {(item.rule, item.line) for item in found.findings} >= {
        ("UnknownField", 6),
        ("AddressOutsideRange", 9),
        MANGLED,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"registries": "{a: b}"}, "this should be a mapping of names to values"),
        ({"modules": "{web: {image: [a]}}"}, "this should be a text"),
        ({"network": "{externalServiceIPs: {a: b}}"}, "this should be a list"),
        ({"addModule": "3"}, "this should be true or false"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_in_words_of_the_spec(changes: dict[str, str], said: str) -> None:
    (found,) = [item for item in load_spec(base(**changes), "s.yaml").findings if item.severity == "error"]
    assert found.message.startswith(said)
    assert "instance of" not in found.message


def test_blanks_around_an_address_are_left_out() -> None:
    loaded = load_spec(base(exposures='{w: {module: web, ports: [80], address: "10.0.0.11 "}}'), "s.yaml")
    assert loaded.spec is not None
    assert loaded.spec.exposures["w"].address == "10.0.0.11"


def test_an_unquoted_time_is_a_time() -> None:
    loaded = load_spec(body("w: {module: web, ports: ['80'], expires: 2030-01-01T10:00:00Z}"), "s.yaml")
    assert loaded.spec is not None
    assert loaded.spec.exposures["w"].expires == "2030-01-01T10:00:00Z"


@pytest.mark.parametrize(
    "registries",
    [
        "{r: {address: 'a b', username: 3, password: hunter2}}",
        "{r: {address: a.example.com, username: u, password: [hunter2]}}",
        "{r: hunter2}",
        "[hunter2]",
    ],
)
def test_a_password_never_appears_in_a_finding(registries: str) -> None:
    text = base(registries=registries)
    assert load_spec(text, "s.yaml").findings
    assert "hunter2" not in " ".join(f"{item.message} {item.hint}" for item in load_spec(text, "s.yaml").findings)


FLEET = """
variables: {log: info}
devices:
  d1: {network: {externalServiceIPs: 10.9.0.1-10.9.0.4}, variables: {tag: "3", order: 7}}
"""


def test_variables_and_ranges_come_from_the_inventory() -> None:
    inventory, findings = load_inventory(FLEET, "fleet.yaml")
    assert findings == []
    text = base(
        modules="{web: {image: 'r.example.com/web:${tag}', startupOrder: '${order}', "
        "env: {L: '${log}', D: '${deviceId}', X: '$${x}'}}}"
    )
    spec = load_spec(text, "s.yaml", inventory).spec
    assert spec is not None
    assert spec.modules["web"].image == "r.example.com/web:3"
    assert spec.modules["web"].startup_order == 7
    assert spec.modules["web"].env == {"L": "info", "D": "d1", "X": "$${x}"}
    assert spec.network is not None
    assert str(spec.network.external) == "10.9.0.1-10.9.0.4"


def test_a_device_that_the_inventory_lacks_is_an_error() -> None:
    inventory, _ = load_inventory(FLEET, "fleet.yaml")
    found = load_spec(base(target="{device: other}"), "s.yaml", inventory).findings
    assert ("DeviceUnknown", 3) in {(item.rule, item.line) for item in found}


def test_lines_of_block_lists_and_of_missing_fields() -> None:
    document = read_yaml("a:\n  b:\n    - 1\n    - c: 2\n", "x")
    assert isinstance(document, Document)
    assert [document.lines.of(path) for path in ("a", "a.b", "a.b[1]", "a.b[1].c", "a.b[1].missing", "other")] == [
        1,
        2,
        4,
        4,
        4,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param('{\n\t"a": {\n\t\t"b": 1\n\t}\n}', 3, id="JSON indented with tabs"),
        pytest.param("{a: {\n  b: 1}}", 2, id="a flow mapping that is not JSON"),
        pytest.param('{"a": {"b": "x\\u00e9\\/"}}', 1, id="JSON escapes"),
    ],
)
def test_json_is_read_with_its_lines(text: str, line: int) -> None:
    document = read_yaml(text, "x")
    assert isinstance(document, Document)
    assert list(document.data["a"]) == ["b"]
    assert document.lines.of("a.b") == line


def test_a_key_twice_in_json_is_an_error() -> None:
    found = read_yaml('{"a": 1, "a": 2}', "x")
    assert not isinstance(found, Document)
    assert found.rule == "DuplicateKey"


@pytest.mark.parametrize("text", ["a:\n- b: .inf\n", "a:\n- b: 1e999\n", '{"a":\n[{"b": NaN}]}'])
def test_a_number_that_json_cannot_say_is_told_by_its_place(text: str) -> None:
    document = read_yaml(text, "x")
    assert isinstance(document, Document)
    assert [(item.rule, item.path, item.line) for item in document.findings] == [("WrongType", "a[0].b", 2)]


def test_a_number_that_json_cannot_say_hides_no_other_error() -> None:
    found = rules(base(modules='{web: {image: "a/web", desired: {n: .inf}, env: {A: [1]}}}'))
    assert found == {("WrongType", 4), ("InvalidValue", 4), ("ImageLatest", 4)}


def test_a_second_document_is_an_error_in_a_whole_sentence() -> None:
    found = read_yaml("a: 1\n---\nb: 2\n", "x")
    assert not isinstance(found, Document)
    assert (found.line, found.message) == (2, "a second document begins here; one file holds one")


@pytest.mark.parametrize(
    "line",
    [
        "registries: {a: {address: r.example.com, username: u, password: hunter2, password: hunter3}}",
        """modules: {w: {image: "r/w:1", createOptions: '{"Env":["P=hunter2"]}'}}""",
        "modules: {w: {image: 'r/w:1', env: {A: [hunter2]}}}",
        "modules: [hunter2]",
    ],
)
def test_no_value_that_may_be_a_password_is_repeated(line: str) -> None:
    text = f'schemaVersion: "1.0"\nname: a\ntarget: {{device: d1}}\n{line}\n'
    found = load_spec(text, "s.yaml").findings
    assert found
    assert "hunter" not in str(found)


@pytest.mark.parametrize(
    ("more", "severity"),
    [("", "warning"), (", serviceNetwork: 172.28.0.0/16", "error"), (", serviceNetwork: 10.9.0.0/16", "")],
)
def test_the_usual_networks_of_azure_stack_edge_are_known(more: str, severity: str) -> None:
    network = f"network: {{externalServiceIPs: 172.28.5.1-172.28.5.9{more}}}"
    text = f'schemaVersion: "1.0"\nname: a\ntarget: {{device: d1}}\n{network}\nmodules: {{w: {{image: "r/w:1"}}}}\n'
    found = [item.severity for item in load_spec(text, "s.yaml").findings if item.rule == "RangeOverlapsNetwork"]
    assert found == ([severity] if severity else [])


def test_no_exposure_takes_the_service_name_of_a_module() -> None:
    text = (
        'schemaVersion: "1.0"\nname: a\ntarget: {device: d1}\n'
        'modules: {w: {image: "r/w:1"}, dns-udp: {image: "r/w:1"}}\n'
        "exposures:\n  edgehub: {module: w, ports: [80]}\n  edge-expose: {module: w, ports: [81]}\n"
        '  dns: {module: w, ports: ["53/udp", "53/tcp"]}\n'
    )
    named = [item.path for item in load_spec(text, "s.yaml").findings if item.rule == "ExposureNamedLikeModule"]
    assert named == ["exposures.edgehub", "exposures.edge-expose", "exposures.dns"]
