"""Acting as somebody else: rights can be checked before a rollout, and only by those who may."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import clean_environment
from support.testbed_binaries import kubectl
from support.waiting import eventually

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Helpdesk:
    """An account without rights, until it is granted some."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.namespace = cluster.namespace()
        self.name = f"desk-{uuid.uuid4().hex[:8]}"
        self.token = cluster.account(self.namespace, self.name)
        self.user = f"system:serviceaccount:{self.namespace}:{self.name}"
        self.path = cluster.services(self.namespace)

    def look(self, **headers: str) -> Any:
        more = {f"Impersonate-{name.replace('_', '-')}": value for name, value in headers.items()}
        return self.cluster.call("GET", self.path, token=self.token, more=more)

    def grant(self, *rules: dict[str, Any]) -> None:
        role = {"metadata": {"name": self.name}, "rules": list(rules)}
        assert self.cluster.call("POST", f"{RBAC}/clusterroles", role).status == 201
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.name}
        binding = {"metadata": {"name": self.name}, "roleRef": reference, "subjects": [subject]}
        assert self.cluster.call("POST", f"{RBAC}/clusterrolebindings", binding).status == 201

    def leave(self) -> None:
        for plural in ("clusterrolebindings", "clusterroles"):
            self.cluster.call("DELETE", f"{RBAC}/{plural}/{self.name}")


@pytest.fixture
def desk(cluster) -> Iterator[Helpdesk]:
    found = Helpdesk(cluster)
    yield found
    found.leave()


def may_be(*names: str, resource: str = "users", group: str = "") -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": ["impersonate"], "resourceNames": list(names)}


def refused(answer: Any) -> str:
    assert (answer.status, answer.body["reason"]) == (403, "Forbidden"), answer
    return str(answer.body["message"])


def test_the_administrator_acts_as_somebody_who_may_nothing(cluster) -> None:
    path = cluster.services(cluster.namespace())
    answer = cluster.call("GET", path, more={"Impersonate-User": "jane"})
    assert refused(answer).startswith('services is forbidden: User "jane" cannot list resource "services"')
    assert (
        cluster.call("GET", path, more={"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}).status
        == 200
    )


def test_whoever_has_not_the_right_is_refused_whatever_the_other_may(cluster, desk) -> None:
    message = refused(desk.look(User="admin", Group="system:masters"))
    if cluster.profile == "1.36":
        assert message == (
            f'services is forbidden: User "{desk.user}" cannot impersonate-on:user-info:list resource "services" '
            f'in API group "" in the namespace "{desk.namespace}"'
        )
    else:
        assert message == (
            f'users "admin" is forbidden: User "{desk.user}" cannot impersonate resource "users" '
            'in API group "" at the cluster scope'
        )


def test_the_right_holds_for_the_names_it_is_given_for(cluster, desk) -> None:
    desk.grant(may_be("jane"))
    eventually(lambda: 'User "jane" cannot list' in refused(desk.look(User="jane")), what="jane may be acted as")
    assert refused(desk.look(User="joe")) == (
        f'users "joe" is forbidden: User "{desk.user}" cannot impersonate resource "users" '
        'in API group "" at the cluster scope'
    )
    assert refused(desk.look(User="jane", Group="ops")) == (
        f'groups "ops" is forbidden: User "{desk.user}" cannot impersonate resource "groups" '
        'in API group "" at the cluster scope'
    )
    assert refused(desk.look(User="jane", Extra_Scopes="view")) == (
        f'userextras.authentication.k8s.io "view" is forbidden: User "{desk.user}" cannot impersonate resource '
        '"userextras/scopes" in API group "authentication.k8s.io" at the cluster scope'
    )
    message = refused(desk.look(User="jane", Uid="7"))
    if cluster.profile == "1.36":
        assert message.startswith(f'uids.authentication.k8s.io "7" is forbidden: User "{desk.user}" cannot impersonate')
    else:  # that version does not know the header
        assert message.startswith('services is forbidden: User "jane" cannot list')


def test_an_account_is_acted_as_by_its_own_right(cluster, desk) -> None:
    account = f"system:serviceaccount:{desk.namespace}:{desk.name}"
    desk.grant(may_be("ops", resource="groups"))
    message = refused(desk.look(User=account, Group="ops"))
    assert message == (
        f'serviceaccounts "{desk.name}" is forbidden: User "{desk.user}" cannot impersonate resource "serviceaccounts" '
        f'in API group "" in the namespace "{desk.namespace}"'
    )


def test_a_group_without_a_user_is_a_bad_request(cluster) -> None:
    path = cluster.services(cluster.namespace())
    answer = cluster.call("GET", path, more={"Impersonate-Group": "ops"})
    if cluster.profile == "1.36":
        assert answer.status == 400
        assert answer.body["message"] == (
            'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"ops"}, Extra:map[string][]string(nil)} '
            "without impersonating a user name"
        )
    else:
        why = "requested [{Group  ops    }] without impersonating a user"
        assert (answer.status, answer.body) == (500, f'Internal Server Error: "{path}": {why}\n')


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        pytest.param({"User": "jane"}, {"username": "jane", "groups": ["system:authenticated"]}, id="a name"),
        pytest.param(
            {"User": "jane", "Group": "ops", "Uid": "42", "Extra-acme.com%2FProject": "p"},
            {
                "username": "jane",
                "groups": ["ops", "system:authenticated"],
                "uid": "42",
                "extra": {"acme.com/project": ["p"]},
            },
            id="everything",
        ),
        pytest.param(
            {"User": "system:serviceaccount:a:b"},
            {
                "username": "system:serviceaccount:a:b",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
            },
            id="an account is in the groups of accounts",
        ),
    ],
)
def test_who_am_i_then(cluster, headers: dict[str, str], user: dict[str, Any]) -> None:
    more = {f"Impersonate-{name}": value for name, value in headers.items()}
    answer = cluster.call("POST", REVIEW, WHO, more=more)
    if cluster.profile == "1.36":
        assert answer.body["status"]["userInfo"] == user
    else:
        assert refused(answer).startswith("selfsubjectreviews.authentication.k8s.io is forbidden")


def test_kubectl_asks_for_others(cluster, desk) -> None:
    program = kubectl()
    if program is None:
        pytest.skip("no kubectl here")

    def run(*arguments: str) -> str:
        command = [program, "--kubeconfig", str(cluster.kubeconfig), "-n", desk.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment())
        return done.stdout.strip()

    service_account = f"system:serviceaccount:{desk.namespace}:{desk.name}"
    assert run("auth", "can-i", "list", "services") == "yes"
    assert run("auth", "can-i", "list", "services", "--as", service_account) == "no"
    desk.grant({"apiGroups": [""], "resources": ["services"], "verbs": ["list"]})
    eventually(lambda: run("auth", "can-i", "list", "services", "--as", service_account) == "yes", what="the new right")
    assert run("auth", "can-i", "delete", "services", "--as", service_account) == "no"
    assert run("auth", "can-i", "delete", "services", "--as", "jane", "--as-group", "system:masters") == "yes"
    listed = run("auth", "can-i", "--list", "--as", service_account)
    assert "services " in listed
    assert "*.*" not in listed
