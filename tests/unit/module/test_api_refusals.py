"""What the recorded answers of both API servers are taken for."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_module.adapters.api_refusals import error_of
from edge_expose_module.cluster.api import Conflict, Denied, Gone, NotFound, Refused, Rejected, Unauthorized
from support.recorded import Recorded, answers

API = ("kubernetes-1.20.15", "kubernetes-1.36.3")
REASONS = {
    "cluster-ip-range-full": "ClusterIPsExhausted",
    "node-port-range-full": "NodePortsExhausted",
    "node-port-range-full-on-change": "NodePortsExhausted",
    "namespace-terminating": "NamespaceTerminating",
    "policy-denied": "PolicyDenied",
    "policy-denied-forbidden": "PolicyDenied",
    "webhook-denied": "PolicyDenied",
    "webhook-denied-forbidden": "PolicyDenied",
    "webhook-denied-silently": "PolicyDenied",
    "webhook-unreachable": "WebhookUnavailable",
    "quota-of-load-balancers": "QuotaExceeded",
    "quota-of-node-ports": "QuotaExceeded",
    "quota-of-services": "QuotaExceeded",
}
KINDS = {
    "already-exists": Conflict,
    "conflict": Conflict,
    "uid-differs": Conflict,
    "namespace-missing": NotFound,
    "service-missing": NotFound,
    "token-unknown": Unauthorized,
    "watch-from-long-ago": Gone,
}


class Anything(dict[str, str]):
    """A value for every placeholder."""

    def __missing__(self, key: str) -> str:
        return f"some-{key}"


def status(answer: Recorded) -> dict[str, Any]:
    content = answer.content
    found: dict[str, Any] = {"code": content["status"], "reason": content["reason"]}
    found["message"] = answer.fill(content["message"], Anything())
    if content.get("causes"):
        found["details"] = {"causes": answer.fill_all(content["causes"], Anything())}
    return found


@pytest.mark.parametrize(("server", "situation"), [(server, name) for server in API for name in answers(server)])
def test_each_recorded_answer_is_understood(server: str, situation: str) -> None:
    body = status(answers(server)[situation])
    error = error_of(body["code"], body)
    assert body["message"] in str(error), "the server's own words are kept"
    if situation in REASONS:
        assert isinstance(error, Refused)
        assert error.reason == REASONS[situation]
        assert str(error) != body["message"], "and a cure is told"
    elif situation.startswith("rbac-denied"):
        assert type(error) is Denied
    else:
        assert type(error) is KINDS.get(situation, Rejected)


def test_every_situation_with_a_reason_of_its_own_was_recorded() -> None:
    assert set(REASONS) <= {name for server in API for name in answers(server)}
