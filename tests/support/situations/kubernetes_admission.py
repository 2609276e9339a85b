"""Refusals that somebody set up: quotas, admission policies, webhooks. The embedded cluster knows none of these."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from support.lots import own
from support.situations.bed import Bed
from support.situations.kubernetes_objects import create, service
from support.situations.table import KUBERNETES, Seen, situation
from support.waiting import eventually

_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
_BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_REASON = "site addresses are given out by the network team"


def refused(bed: Bed, namespace: str, body: dict[str, Any], **values: str) -> Seen:
    """The refusal of a rule that takes a moment to be in force."""

    def look() -> Seen | None:
        seen = create(bed, namespace, body, **values)
        if seen.answer["status"] >= 400:
            return seen
        bed.api.delete(bed.service(namespace, body["metadata"]["name"]))
        return None

    seen = eventually(look, what="the rule is in force")
    assert seen is not None
    return seen


# --- quotas ---


def _quota(bed: Bed, namespace: str, what: str) -> None:
    """A ResourceQuota of none; that it is counted is written here, since its controller does not run."""
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    bed.api.create(path, {"metadata": {"name": "few"}, "spec": {"hard": {what: "0"}}})
    bed.api.merge(f"{path}/few/status", {"status": {"hard": {what: "0"}, "used": {what: "0"}}})


def _over_quota(bed: Bed, what: str, **spec: Any) -> Seen:
    namespace = bed.namespace()
    _quota(bed, namespace, what)
    return refused(bed, namespace, service(**spec), quota="few")


@situation(KUBERNETES, "A quota allows no more Services.", embedded=False)
def quota_of_services(bed: Bed) -> Seen:
    return _over_quota(bed, "services")


@situation(KUBERNETES, "A quota allows no more Services of type LoadBalancer.", embedded=False)
def quota_of_load_balancers(bed: Bed) -> Seen:
    return _over_quota(bed, "services.loadbalancers", type="LoadBalancer")


@situation(KUBERNETES, "A quota allows no more node ports.", embedded=False)
def quota_of_node_ports(bed: Bed) -> Seen:
    return _over_quota(bed, "services.nodeports", type="LoadBalancer")


# --- admission policies ---


@contextlib.contextmanager
def _policy(bed: Bed, namespace: str, **validation: str) -> Iterator[None]:
    """A policy that nothing in the namespace fulfils."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}
    check = {"expression": "object.spec.type == 'Never'", "message": _REASON, **validation}
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [check]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "policyName": "site-policy",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    bed.api.create(_POLICIES, {"metadata": {"name": "site-policy"}, "spec": spec})
    bed.api.create(_BINDINGS, {"metadata": {"name": "site-binding"}, "spec": binding})
    try:
        yield
    finally:
        bed.api.delete(f"{_BINDINGS}/site-binding")
        bed.api.delete(f"{_POLICIES}/site-policy")


def _against_policy(bed: Bed, **validation: str) -> Seen:
    namespace = bed.namespace()
    with _policy(bed, namespace, **validation):
        values = {"policy": "site-policy", "binding": "site-binding", "text": _REASON}
        return refused(bed, namespace, service(), **values)


@situation(KUBERNETES, "An admission policy denies the Service.", profiles=("1.36",), embedded=False)
def policy_denied(bed: Bed) -> Seen:
    return _against_policy(bed)


@situation(
    KUBERNETES, "An admission policy denies it and gives the reason Forbidden.", profiles=("1.36",), embedded=False
)
def policy_denied_forbidden(bed: Bed) -> Seen:
    return _against_policy(bed, reason="Forbidden")


# --- webhooks ---


class _Denies(http.server.BaseHTTPRequestHandler):
    """Denies everything; the verdict is the server's."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verdict = {"uid": review["request"]["uid"], "allowed": False, **self.server.verdict}  # type: ignore[attr-defined]
        data = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": verdict}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def _webhook(bed: Bed, namespace: str, verdict: dict[str, Any] | None) -> Iterator[int]:
    """A webhook on loopback that denies; nobody listens there when there is no verdict. Yields its port."""
    assert bed.real is not None
    pki = bed.real.plane.pki
    (port,) = own().ports(1)
    server = None
    if verdict is not None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Denies)
        server.verdict = verdict  # type: ignore[attr-defined]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.certificate, pki.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    label = {"kubernetes.io/metadata.name": namespace} if bed.profile == "1.36" else {"hook": namespace}
    if bed.profile == "1.20":  # which does not label namespaces by itself
        bed.api.merge(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": label}})
    hook = {
        "name": "guard.example.com",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/check",
            "caBundle": b64encode(pki.ca.read_bytes()).decode(),
        },
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}],
        "namespaceSelector": {"matchLabels": label},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    bed.api.create(_WEBHOOKS, {"metadata": {"name": "guard"}, "webhooks": [hook]})
    try:
        yield port
    finally:
        bed.api.delete(f"{_WEBHOOKS}/guard")
        if server is not None:
            server.shutdown()
            server.server_close()


def _against_webhook(bed: Bed, verdict: dict[str, Any] | None) -> Seen:
    namespace = bed.namespace()
    with _webhook(bed, namespace, verdict) as port:
        values = {"webhook": "guard.example.com", "text": _REASON, "webhook_port": str(port)}
        return refused(bed, namespace, service(), **values)


@situation(KUBERNETES, "An admission webhook denies the Service with a text.", embedded=False)
def webhook_denied(bed: Bed) -> Seen:
    return _against_webhook(bed, {"status": {"message": _REASON}})


@situation(KUBERNETES, "An admission webhook denies the Service with a text and code 403.", embedded=False)
def webhook_denied_forbidden(bed: Bed) -> Seen:
    return _against_webhook(bed, {"status": {"message": _REASON, "code": 403}})


@situation(KUBERNETES, "An admission webhook denies the Service without a word.", embedded=False)
def webhook_denied_silently(bed: Bed) -> Seen:
    return _against_webhook(bed, {})


@situation(KUBERNETES, "An admission webhook that must be asked cannot be reached.", embedded=False)
def webhook_unreachable(bed: Bed) -> Seen:
    return _against_webhook(bed, None)
