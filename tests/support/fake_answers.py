"""What the fake API server answers when it says no: Status bodies of the real one, as errors of the module."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_expose_module.adapters.api_refusals import error_of
from edge_expose_module.cluster.api import ClusterError, Resource
from support.recorded import Recorded, answers

USER = "system:serviceaccount:edge1:edge-expose"


@dataclass
class FakeAnswers:
    """Of one version; `git_version` is as the API server shows it."""

    git_version: str
    ordered: list[_Order] = field(default_factory=list)
    """Refusals that a test asked for."""

    @property
    def recorded(self) -> dict[str, Recorded]:
        name = "kubernetes-1.20.15" if self.git_version.startswith("v1.20") else "kubernetes-1.36.3"
        return dict(answers(name))

    def error(self, situation: str, **values: object) -> ClusterError:
        """The answer to a situation, as the adapter hands it on."""
        answer = self.recorded[situation]
        return error_of(int(answer.content["status"]), answer.body(**values))

    def denied(self, verb: str, resource: Resource, namespace: str | None) -> ClusterError:
        """RBAC says no."""
        values = {"verb": verb, "resource": resource.plural, "user": USER, "namespace": namespace or "", "name": ""}
        situation = "rbac-denied-list-everywhere" if namespace is None else "rbac-denied-list"
        body = self.recorded[situation].body(**values)
        group = "" if resource.group.startswith("/api/") else resource.group.split("/")[2]
        body["message"] = body["message"].replace('API group ""', f'API group "{group}"')
        if group:
            body["message"] = body["message"].replace(resource.plural, f"{resource.plural}.{group}", 1)
        return error_of(403, body)

    def invalid(self, situation: str, name: str, *changes: tuple[str, str]) -> ClusterError:
        """A refused Service; `changes` put the place and value of this one for those that were recorded."""
        answer = self.recorded[situation]
        body = answer.body(name=name, namespace="")
        for old, new in changes:
            assert old in body["message"], f"{situation}: {old!r} is not in {body['message']!r}"
            body["message"] = body["message"].replace(old, new)
            for cause in body.get("details", {}).get("causes", []):
                cause["message"] = cause["message"].replace(old, new)
                cause["field"] = cause["field"].replace(old, new)
        return error_of(int(answer.content["status"]), body)

    # --- refusals on demand ---

    def order(self, situation: str, verb: str, times: int | None, only: str, values: dict[str, Any]) -> None:
        assert self.recorded[situation].content["status"] >= 400, f"{situation} is no refusal"
        self.ordered.append(_Order(situation, verb, times, only, values))

    def due(self, verb: str, namespace: str, name: str) -> ClusterError | None:
        """The refusal that was ordered for such a call, if there is one."""
        for order in self.ordered:
            if order.verb in (verb, "") and order.only in (name, "") and order.times != 0:
                if order.times is not None:
                    order.times -= 1
                return self.error(order.situation, **{"namespace": namespace, "name": name, **order.values})
        return None


@dataclass
class _Order:
    situation: str
    verb: str
    times: int | None
    """How many more calls; None for all."""
    only: str
    """The object that is meant; empty for all."""
    values: dict[str, Any]
