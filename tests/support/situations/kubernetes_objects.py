"""Objects that are there, are not there, or changed meanwhile; rights; watches."""

from __future__ import annotations

import json
from typing import Any

from support.situations.bed import Bed, status_answer
from support.situations.table import KUBERNETES, Seen, situation
from support.waiting import eventually

SPEC: dict[str, Any] = {"ports": [{"name": "http", "port": 8080}]}
NOBODY = "11111111-2222-3333-4444-555555555555"


def service(name: str = "asker", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {**SPEC, **spec}}


def create(bed: Bed, namespace: str, body: dict[str, Any], **values: str) -> Seen:
    """Asks for a Service that is going to be refused."""
    answer = bed.answer("POST", bed.service(namespace), body)
    return Seen(answer, {"namespace": namespace, "name": body["metadata"]["name"], **values})


@situation(KUBERNETES, "A Service is made in a namespace that does not exist.")
def namespace_missing(bed: Bed) -> Seen:
    return create(bed, "no-such-namespace", service())


@situation(KUBERNETES, "A Service is read that does not exist.")
def service_missing(bed: Bed) -> Seen:
    namespace = bed.namespace()
    return Seen(bed.answer("GET", bed.service(namespace, "asker")), {"namespace": namespace, "name": "asker"})


@situation(KUBERNETES, "A Service is made whose name is taken.")
def already_exists(bed: Bed) -> Seen:
    namespace = bed.namespace()
    bed.api.create(bed.service(namespace), service())
    return create(bed, namespace, service())


@situation(KUBERNETES, "A Service is changed that somebody else changed meanwhile.")
def conflict(bed: Bed) -> Seen:
    namespace = bed.namespace()
    made = bed.api.create(bed.service(namespace), service())
    path = bed.service(namespace, "asker")
    bed.api.merge(path, {"metadata": {"labels": {"a": "b"}}})
    old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "c"}}}
    return Seen(bed.merge_answer(path, old), {"namespace": namespace, "name": "asker"})


@situation(KUBERNETES, "A Service of a certain uid is deleted, and the one of that name has another.")
def uid_differs(bed: Bed) -> Seen:
    namespace = bed.namespace()
    made = bed.api.create(bed.service(namespace), service())
    answer = bed.answer("DELETE", bed.service(namespace, "asker"), {"preconditions": {"uid": NOBODY}})
    values = {"namespace": namespace, "name": "asker", "asked_uid": NOBODY, "uid": made["metadata"]["uid"]}
    return Seen(answer, values)


@situation(KUBERNETES, "A namespace is being deleted and waits for a finalizer; a Service is made in it.")
def namespace_terminating(bed: Bed) -> Seen:
    namespace = bed.namespace()
    config = {"metadata": {"name": "holds-it", "finalizers": ["example.com/wait"]}}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    bed.api.create(path, config)
    try:
        bed.api.delete(f"/api/v1/namespaces/{namespace}")
        return create(bed, namespace, service())
    finally:
        bed.api.merge(f"{path}/holds-it", {"metadata": {"finalizers": None}})


# --- rights ---


def account(bed: Bed, namespace: str) -> tuple[str, str]:
    """A ServiceAccount without rights: its user name and a token."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    bed.api.create(accounts, {"metadata": {"name": "bot"}})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = bed.api.create(f"{accounts}/bot/token", request)["status"]["token"]
    return f"system:serviceaccount:{namespace}:bot", str(token)


def _denied(
    bed: Bed,
    method: str,
    path: str,
    body: Any = None,
    *,
    verb: str = "list",
    resource: str = "services",
    kind: str = "application/json",
) -> Seen:
    """`{namespace}` in the path is a namespace of its own; `verb` and `resource` are as rights name them."""
    namespace = bed.namespace()
    user, token = account(bed, namespace)
    path = path.format(namespace=namespace)
    answer = bed.answer(method, path, body, token=token, kind=kind)
    return Seen(answer, {"namespace": namespace, "name": "asker", "user": user, "verb": verb, "resource": resource})


_SERVICES = "/api/v1/namespaces/{namespace}/services"


@situation(KUBERNETES, "A Service is made without the right to.")
def rbac_denied_create(bed: Bed) -> Seen:
    return _denied(bed, "POST", _SERVICES, service(), verb="create")


@situation(KUBERNETES, "A Service is changed without the right to.")
def rbac_denied_patch(bed: Bed) -> Seen:
    patch = {"metadata": {"labels": {"a": "b"}}}
    return _denied(bed, "PATCH", f"{_SERVICES}/asker", patch, verb="patch", kind="application/merge-patch+json")


@situation(KUBERNETES, "A Service is deleted without the right to.")
def rbac_denied_delete(bed: Bed) -> Seen:
    return _denied(bed, "DELETE", f"{_SERVICES}/asker", verb="delete")


@situation(KUBERNETES, "The Services of a namespace are listed without the right to.")
def rbac_denied_list(bed: Bed) -> Seen:
    return _denied(bed, "GET", _SERVICES)


@situation(KUBERNETES, "The Services of all namespaces are listed without the right to.")
def rbac_denied_list_everywhere(bed: Bed) -> Seen:
    return _denied(bed, "GET", "/api/v1/services")


@situation(KUBERNETES, "The Endpoints of a namespace are listed without the right to.")
def rbac_denied_list_endpoints(bed: Bed) -> Seen:
    return _denied(bed, "GET", "/api/v1/namespaces/{namespace}/endpoints", resource="endpoints")


@situation(KUBERNETES, "Address pools are listed without the right to.", profiles=("1.36",))
def rbac_denied_list_pools(bed: Bed) -> Seen:
    return _denied(
        bed, "GET", "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools", resource="ipaddresspools"
    )


@situation(KUBERNETES, "MetalLB's ConfigMap is read without the right to.")
def rbac_denied_get_config_map(bed: Bed) -> Seen:
    path = "/api/v1/namespaces/metallb-system/configmaps/config"
    return _denied(bed, "GET", path, verb="get", resource="configmaps")


@situation(KUBERNETES, "A call carries a token that nobody issued.")
def token_unknown(bed: Bed) -> Seen:
    return Seen(bed.answer("GET", "/api/v1/services", token="nonsense"))


# --- watches ---


@situation(KUBERNETES, "A watch asks for a version that the API server no longer keeps.")
def watch_from_long_ago(bed: Bed) -> Seen:
    bed.restart()  # the history of a real server outlives what a test can write, but not a restart

    def first() -> dict[str, Any]:
        status, data = bed.api.raw("GET", "/api/v1/services?watch=1&resourceVersion=1&timeoutSeconds=30")
        assert status == 200, data
        return dict(json.loads(data.splitlines()[0]))

    event = eventually(first, what="the watch is answered")
    assert event["type"] == "ERROR"
    answer = status_answer(event["object"]["code"], event["object"])
    version = str(answer["message"]).partition("(")[2].rstrip(")")
    return Seen(answer, {"kept_version": version, "asked_version": "1"})
