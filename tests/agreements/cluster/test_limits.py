"""What the local cluster cannot do, as its README lists it: each line is tried, on ours and on the real thing.

A line that is no longer true fails here, and so does one that nobody tries.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_expose_local.cluster

README = Path(edge_expose_local.cluster.__file__).parent / "README.md"
Outcome = Callable[[Any], object]


def makes_jobs(cluster: Any) -> object:
    container = {"name": "c", "image": "none/none:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"metadata": {"name": "j"}, "spec": {"template": template}}
    return cluster.call("POST", f"/apis/batch/v1/namespaces/{cluster.namespace()}/jobs", body).status == 201


def has_disruption_budgets(cluster: Any) -> object:
    version = "v1" if cluster.profile == "1.36" else "v1beta1"
    path = f"/apis/policy/{version}/namespaces/{cluster.namespace()}/poddisruptionbudgets"
    return cluster.call("GET", path).status == 200


def checks_volumes(cluster: Any) -> object:
    spec = {"containers": [{"name": "c", "image": "none/none:1"}], "volumes": [{"name": "Bad_Name", "emptyDir": {}}]}
    path = f"/api/v1/namespaces/{cluster.namespace()}/pods?dryRun=All"
    return cluster.call("POST", path, {"metadata": {"name": "p"}, "spec": spec}).status == 422


def refuses_escalation(cluster: Any) -> object:
    ns = cluster.namespace()
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    may = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}
    subject = {"kind": "ServiceAccount", "name": "boss", "namespace": ns}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "boss"}
    cluster.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "boss"}})
    cluster.call("POST", f"{roles}/roles", {"metadata": {"name": "boss"}, "rules": [may]})
    binding = {"metadata": {"name": "boss"}, "roleRef": reference, "subjects": [subject]}
    assert cluster.call("POST", f"{roles}/rolebindings", binding).status == 201
    more = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    body = {"metadata": {"name": "more"}, "rules": [more]}
    return cluster.call("POST", f"{roles}/roles", body, token=_token(cluster, ns, "boss")).status == 403


def tokens_can_be_checked_by_others(cluster: Any) -> object:
    ns = cluster.namespace()
    cluster.call("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "a"}})
    head = _token(cluster, ns, "a").split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] in ("ES256", "RS256")


def _token(cluster: Any, namespace: str, account: str) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return str(cluster.call("POST", path, body).body["status"]["token"])


CANNOT: dict[str, Outcome] = {
    "Jobs, cron jobs, ingresses": makes_jobs,
    "No admission webhooks, disruption budgets": has_disruption_budgets,
    "Of the rules of pods, the common ones are checked": checks_volumes,
    "Roles may be written by anyone who may write roles": refuses_escalation,
    "ServiceAccount tokens are HMAC-signed": tokens_can_be_checked_by_others,
}
# Shown elsewhere: what needs a kubelet or a data path on the network form (tests/cluster)
# and in tests/functional, families in the scenarios.
ELSEWHERE = (
    "No IPv6 cluster",
    "Pods with another image stay Pending",
    "Endpoints that are no pod of this cluster are never dialled",
    "UDP to a port without ready endpoints is silent",
    "The Service `default/kubernetes` has no endpoints",
    "A source that `loadBalancerSourceRanges` does not list is reset",
    "Bookmarks come within seconds",
    "`minReadySeconds` and `progressDeadlineSeconds`",
    "`continue` tokens are good for",
    "Constrained impersonation",
    "The descriptions that `kubectl explain` shows",
    "`managedFields` tell of what clients write",
    "A value of the wrong type is told",
    "Addresses outside 127.0.0.0/8 need",
)


@pytest.mark.parametrize("line", CANNOT)
def test_what_ours_cannot_do_the_real_one_can(cluster, line: str) -> None:
    assert CANNOT[line](cluster) is cluster.real


def test_every_line_of_the_readme_is_tried_and_every_trial_is_listed() -> None:
    _, _, section = README.read_text().partition("## What it cannot do")
    lines = [line.removeprefix("- ") for line in section.splitlines() if line.startswith("- ")]
    known = (*CANNOT, *ELSEWHERE)
    assert [line for line in lines if not line.startswith(known)] == []
    assert [start for start in known if not any(line.startswith(start) for line in lines)] == []
