"""The policies for clusters older than 1.30: their Rego, run by OPA alone, says what the module's own rails say.

Gatekeeper and Kyverno themselves are not run; the heads of the files say so.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from edge_expose_contract.models import Exposure
from edge_expose_module.cluster.state import Capabilities
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.table import RAILS, merged, read, refused
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.services.render import Target, declare
from support.cluster import clean_environment
from support.testbed_binaries import opa
from support.testbed_module import SHIPPED

FOLDER: Final = SHIPPED / "policies"
ACCOUNT: Final = "system:serviceaccount:edge1:edge-expose"
TARGET: Final = Target("0123456789abcdef", "edge1", lambda _: MetalLB(), Capabilities("v1.24.0", 24))

Row = tuple[dict[str, str], dict[str, Any], bool]
#: rails, what the exposure says beside a port and a selector, refused
TABLE: Final[dict[str, Row]] = {
    "empty rails": ({}, {}, False),
    "a port of the list": ({"ALLOW_PORTS": "443, 8080"}, {}, False),
    "a port of a range": ({"ALLOW_PORTS": "443,8000-8100"}, {}, False),
    "a port beyond": ({"ALLOW_PORTS": "443,8000-8079"}, {}, True),
    "one of two ports beyond": ({"ALLOW_PORTS": "8080"}, {"ports": ["8080:80", "8081:81"]}, True),
    "an address of a range": ({"ALLOW_ADDRESSES": "10.1.0.8-10.1.0.12"}, {"address": "10.1.0.10"}, False),
    "an address near as text": ({"ALLOW_ADDRESSES": "10.1.0.8-10.1.0.12"}, {"address": "10.1.0.120"}, True),
    "an address of a CIDR": ({"ALLOW_ADDRESSES": "10.2.0.0/24 10.1.0.0/24"}, {"address": "10.1.0.10"}, False),
    "an address beyond a CIDR": ({"ALLOW_ADDRESSES": "10.1.0.0/28"}, {"address": "10.1.0.16"}, True),
    "no address asked for": ({"ALLOW_ADDRESSES": "10.1.0.10/32"}, {}, False),
    "a cluster IP": ({"ALLOW_ADDRESSES": "10.1.0.10/32"}, {"type": "ClusterIP"}, False),
    "the namespace": ({"ALLOW_NAMESPACES": "edge1"}, {}, False),
    "another namespace": ({"ALLOW_NAMESPACES": "web,db"}, {}, True),
}


def documents(file: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8")) if item]


def service(exposure: Mapping[str, Any]) -> dict[str, Any]:
    """As the module makes it."""
    wanted = Exposure.model_validate({"selector": ["app=w"], "ports": ["8080:80"], **exposure})
    (made,) = declare("x", wanted, wanted.addresses, TARGET)
    return made.body()


def violations(review: Mapping[str, Any], rails: Mapping[str, str] | None, tmp_path: Path) -> list[str]:
    """What Gatekeeper would refuse it for."""
    if not opa().exists():
        pytest.skip("opa is not built: make testbed")
    _, template, constraint = documents("gatekeeper.yaml")
    config_maps = {} if rails is None else {"edge-expose-guard-rails": {"data": rails}}
    (tmp_path / "policy.rego").write_text(template["spec"]["targets"][0]["rego"])
    inventory = {"inventory": {"namespace": {"edge1": {"v1": {"ConfigMap": config_maps}}}}}
    (tmp_path / "data.json").write_text(json.dumps(inventory))
    asked = {
        "operation": "CREATE",
        "namespace": "edge1",
        "userInfo": {"username": ACCOUNT},
        "oldObject": None,
        **review,
    }
    given = {"review": asked, "parameters": constraint["spec"]["parameters"]}
    done = subprocess.run(
        [
            opa(),
            *("eval", "--v0-compatible", "--stdin-input", "--format", "json"),
            *("--data", tmp_path / "policy.rego", "--data", tmp_path / "data.json"),
            "data.edgeexposerails.violation",
        ],
        env=clean_environment(),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [item["msg"] for item in json.loads(done.stdout)["result"][0]["expressions"][0]["value"]]


@pytest.mark.parametrize("name", TABLE)
def test_gatekeepers_rules_and_the_module_say_the_same(name: str, tmp_path: Path) -> None:
    rails, more, is_refused = TABLE[name]
    owner, problems = read(rails, "ConfigMap")
    assert not problems
    exposure = Exposure.model_validate({"selector": ["app=w"], "ports": ["8080:80"], **more})
    assert (refused(merged(Guards(), owner), exposure, "edge1", 1) is not None) is is_refused
    body = service(more)
    assert bool(violations({"object": body}, rails, tmp_path)) is is_refused
    somebody = {"object": body, "userInfo": {"username": "ada"}}
    assert violations(somebody, rails, tmp_path) == [], "nobody else is held to it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": {"externalIPs": ["10.0.0.1"]}}, "without externalIPs"),
        ({"spec": {"type": "NodePort"}}, "LoadBalancer or ClusterIP"),
        ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}, "carries its labels"),
        ({"metadata": {"labels": {"net.azure-devices.edge.deviceid": "edge1"}}}, "net.azure-devices.edge.deviceid"),
        ({"metadata": {"annotations": {"metallb.io/loadBalancerIPs": "10.9.9.9"}}}, "ALLOW_ADDRESSES"),
    ],
)
def test_gatekeepers_rules_refuse_what_the_module_never_writes(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    body = service({"address": "10.1.0.10"})
    for part, values in change.items():
        for key, value in values.items():
            old = body[part].get(key)
            body[part][key] = {**(old or {}), **value} if isinstance(value, dict) else value
    (said,) = violations({"object": body}, {"ALLOW_ADDRESSES": "10.1.0.0/24"}, tmp_path)
    assert words in said


def test_gatekeepers_rules_protect_services_of_others(tmp_path: Path) -> None:
    ours, foreign = service({}), {"metadata": {"name": "theirs", "labels": {}}, "spec": {"ports": []}}
    for review in ({"operation": "UPDATE", "object": ours}, {"operation": "DELETE", "object": foreign}):
        (said,) = violations({**review, "oldObject": foreign}, {}, tmp_path)
        assert "ALLOW_ADOPT does not let it take one over" in said
    adopted = {"operation": "UPDATE", "object": ours, "oldObject": foreign}
    assert violations(adopted, {"ALLOW_ADOPT": "true"}, tmp_path) == []
    own = {"operation": "DELETE", "object": ours, "oldObject": ours}
    assert violations(own, {}, tmp_path) == []


def test_without_the_config_map_gatekeepers_rules_let_nothing_pass(tmp_path: Path) -> None:
    (said,) = violations({"object": service({})}, None, tmp_path)
    assert "ConfigMap" in said


def test_rails_that_cannot_be_read_let_no_port_pass(tmp_path: Path) -> None:
    assert violations({"object": service({})}, {"ALLOW_PORTS": "eighty"}, tmp_path)


@pytest.mark.parametrize("file", ["gatekeeper.yaml", "kyverno.yaml"])
def test_the_head_of_the_file_says_how_far_it_was_tried_and_names_rails_that_exist(file: str) -> None:
    text = (FOLDER / file).read_text(encoding="utf-8")
    head = " ".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    assert "never run" in head
    assert documents(file)
    rules = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    enforced = set(re.findall(r"ALLOW_[A-Z]+", rules))
    assert enforced >= {"ALLOW_PORTS", "ALLOW_ADDRESSES", "ALLOW_ADOPT"}
    assert enforced <= {rail.key for rail in RAILS}
    assert enforced - {"ALLOW_ADOPT"} == set(re.findall(r"ALLOW_[A-Z]+", head))


def test_both_files_are_those_that_the_chart_names() -> None:
    chart = SHIPPED / "helm" / "edge-expose" / "templates" / "admission-policy.yaml"
    said = chart.read_text(encoding="utf-8")
    assert sorted(f"policies/{path.name}" for path in FOLDER.iterdir()) == [
        "policies/gatekeeper.yaml",
        "policies/kyverno.yaml",
    ]
    assert all(f"policies/{path.name}" in said for path in FOLDER.iterdir())
