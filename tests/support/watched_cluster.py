"""A fake cluster with an eye on every Service: who loses an external address at which write, also for a moment only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_expose_module.cluster.api import Resource, Unavailable
from support.fake_cluster import FakeCluster


class Watched(FakeCluster):
    """Sees the load balancer's answer to each write: who is without the address then that it had before."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[str] = []
        self.unanswered: set[str] = set()
        """Services about which no write is answered, or done."""
        self._had: set[tuple[str, str]] = set()

    def _look(self, after: str) -> None:
        has = {key for key in self.services if self.address_of(key[1], key[0]) is not None}
        self.lost.extend(f"{name} after {after}" for _, name in sorted(self._had & self.services.keys() - has))
        self._had = has

    def _ask(self, name: str) -> None:
        if name in self.unanswered:
            raise Unavailable("the Kubernetes API did not answer")

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._ask(body["metadata"]["name"])
        self._had.discard((namespace, body["metadata"]["name"]))
        answer = super().create(resource, namespace, body)
        self._look(f"create {body['metadata']['name']}")
        return answer

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._ask(name)
        answer = super().patch(resource, namespace, name, body)
        self._look(f"patch {name}")
        return answer

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._ask(name)
        super().delete(resource, namespace, name, uid)
        self._look(f"delete {name}")
