"""The shipped Kubernetes files agree with each other and with what the local runtime grants."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_local.runtime import rights
from support.testbed_module import SHIPPED, shipped

READ = {"get", "list", "watch"}


def rules(file: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
    found = [d for d in shipped(file, "edge1") if d["kind"] == kind and d["metadata"].get("namespace") == namespace]
    assert len(found) == 1
    return list(found[0]["rules"])


@pytest.mark.parametrize("file", ["rbac.yaml", "rbac-one-namespace.yaml"])
def test_the_role_in_the_modules_namespace_is_what_local_mode_grants(file: str) -> None:
    assert rules(file, "Role", "edge1") == [*rights.NAMESPACE_RULES, rights.RAILS_RULE]


def test_the_roles_beyond_the_namespace_are_what_local_mode_grants() -> None:
    assert rules("rbac.yaml", "ClusterRole", None) == rights.CLUSTER_RULES
    assert rules("rbac.yaml", "Role", "metallb-system") == rights.METALLB_RULES


def test_another_namespace_gets_the_same_role() -> None:
    assert rules("rbac-extra-namespace.yaml", "Role", "web") == rights.NAMESPACE_RULES


def test_beyond_its_namespace_the_module_only_reads() -> None:
    for rule in [*rules("rbac.yaml", "ClusterRole", None), *rules("rbac.yaml", "Role", "metallb-system")]:
        assert set(rule["verbs"]) <= READ


@pytest.mark.parametrize("file", sorted(path.name for path in SHIPPED.glob("rbac*.yaml")))
def test_no_file_grants_secrets_or_everything(file: str) -> None:
    for document in shipped(file, "edge1"):
        for rule in document.get("rules", []):
            named = {*rule["resources"], *rule["verbs"], *rule["apiGroups"]}
            assert not named & {"*", "secrets", "escalate", "bind", "impersonate"}
            assert not any(resource.endswith("/status") for resource in rule["resources"])


@pytest.mark.parametrize("file", sorted(path.name for path in SHIPPED.glob("rbac*.yaml")))
def test_every_binding_binds_a_role_of_its_file_to_the_account(file: str) -> None:
    documents = shipped(file, "edge1")
    roles = {(d["kind"], d["metadata"]["name"], d["metadata"].get("namespace")) for d in documents if "rules" in d}
    bindings = [d for d in documents if "roleRef" in d]
    bound = {(b["roleRef"]["kind"], b["roleRef"]["name"], b["metadata"].get("namespace")) for b in bindings}
    assert bound == roles
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "edge-expose", "namespace": "edge1"}]


def test_the_deployment_runs_once_unprivileged_and_as_the_account() -> None:
    deployment = next(d for d in shipped("module.yaml", "edge1") if d["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"]["type"] == "Recreate"
    assert pod["serviceAccountName"] == "edge-expose"
    assert pod["securityContext"]["runAsNonRoot"] is True
    container = pod["containers"][0]
    assert container["image"] == "edge-expose/module:1"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "net.azure-devices.edge.deviceid" not in deployment["metadata"]["labels"]
