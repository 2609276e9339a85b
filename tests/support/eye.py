"""Watches one Service: every address and every version it has meanwhile."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import Protocol

from support.testbed_api import Api, JsonObject
from support.testbed_module import Cluster
from support.waiting import PATIENCE


class Seen(Protocol):
    """Whose Service it is: a module on a cluster."""

    handle: Cluster
    namespace: str


class Eye:
    """`addresses` and `versions` in their order, each once as long as it stays; '' while there is none.

    A watch tells each of them, however short it was there.
    """

    def __init__(self, bench: Seen, name: str) -> None:
        self.addresses: list[str] = []
        self.versions: list[str] = []
        self._api = Api(bench.handle.kubeconfig)
        self._path = f"/api/v1/namespaces/{bench.namespace}/services?fieldSelector=metadata.name%3D{name}"
        self._connection: http.client.HTTPSConnection = self._api.connection()
        self._told = threading.Condition()
        self._ended = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Eye:
        found = self._api.get(self._path)
        self._see(next(iter(found["items"]), {}))
        since = found["metadata"]["resourceVersion"]
        headers = {"Authorization": f"Bearer {self._api.token}", "Accept": "application/json"}
        self._connection.request("GET", f"{self._path}&watch=1&resourceVersion={since}", headers=headers)
        response = self._connection.getresponse()
        assert response.status == 200, response.read()
        self._thread = threading.Thread(target=self._follow, args=(response,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """What there is at the end is told before the watch ends."""
        last = _version(next(iter(self._api.items(self._path)), {}))
        with self._told:
            complete = self._told.wait_for(lambda: self._ended or last in self.versions, PATIENCE)
            cut_short = self._ended
        if not cut_short:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        assert self._thread is not None
        self._thread.join()
        self._connection.close()
        if kind is None:
            assert not cut_short, "the watch ended by itself"
            assert complete, f"the watch told {self.versions}, and there is {last}"

    def _follow(self, response: http.client.HTTPResponse) -> None:
        try:
            for line in response:
                event = json.loads(line)
                self._see({} if event["type"] == "DELETED" else event["object"])
        except (OSError, ValueError, http.client.HTTPException):
            pass  # it was shut down, or was cut off: then its end says so
        finally:
            with self._told:
                self._ended = True
                self._told.notify_all()

    def _see(self, service: JsonObject) -> None:
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
        with self._told:
            for seen, now in ((self.addresses, ingress[0].get("ip", "")), (self.versions, _version(service))):
                if not seen or seen[-1] != now:
                    seen.append(now)
            self._told.notify_all()


def _version(service: JsonObject) -> str:
    return str((service.get("metadata") or {}).get("resourceVersion", ""))
