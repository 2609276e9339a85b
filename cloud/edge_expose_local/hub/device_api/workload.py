"""The workload API that edged offers to modules: trust bundle and signing, scoped to one module by a secret path.

A module's URI is `http://host:port/DEVICE/MODULE/MAC`; the MAC is made with a secret of this hub, so it needs no
storage, survives restarts and cannot be guessed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote

from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.hub.access import sas
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import TwinKey

API_VERSION = "2019-01-30"
API_VERSIONS = ("2018-06-28", API_VERSION, "2020-07-07")


def _mac(hub: Hub, key: TwinKey) -> str:
    return hmac.new(hub.secret.encode(), f"{key.device}\n{key.module}".encode(), hashlib.sha256).hexdigest()[:40]


def workload_uri(hub: Hub, key: TwinKey) -> str:
    device, module = quote(key.device, safe=""), quote(key.module or "", safe="")
    return f"http://{hub.address}:{hub.ports.workload}/{device}/{module}/{_mac(hub, key)}"


def _problem(status: int, message: str) -> Response:
    return json_response(status, {"message": message})


class WorkloadApi:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def handle(self, request: Request) -> Response | None:
        segments = request.segments
        if len(segments) < 4:
            return _problem(404, "not found")
        key, mac, rest = TwinKey(segments[0], segments[1]), segments[2], segments[3:]
        if not hmac.compare_digest(mac.encode(), _mac(self._hub, key).encode()):
            return _problem(403, "this address belongs to no module")
        if request.arg("api-version") not in API_VERSIONS:
            return _problem(400, f"api-version must be one of {', '.join(API_VERSIONS)}")
        if request.method == "GET" and rest == ["trust-bundle"]:
            return self._trust_bundle()
        if (
            request.method == "POST"
            and len(rest) == 5
            and rest[0] == "modules"
            and (rest[2], rest[4]) == ("genid", "sign")
        ):
            return await self._sign(key, rest[1], request)
        return _problem(404, "not found")

    def _trust_bundle(self) -> Response:
        if fault := self._hub.faults.take("trust-bundle-fail"):
            return _problem(int(fault.number("status", 500)), "injected fault")
        return json_response(200, {"certificate": (self._hub.folder / "ca.pem").read_text()})

    async def _sign(self, key: TwinKey, module: str, request: Request) -> Response:
        if module != key.module:
            return _problem(403, f"module {key.module} may not sign as {module}")
        identity = self._hub.state.identities.get(key)
        if identity is None or not identity.primary:
            return _problem(404, f"module {module} has no key")
        facts = {"device": key.device, "module": module}
        if fault := self._hub.faults.take("sign-slow", **facts):
            await asyncio.sleep(fault.number("seconds", 5))
        if fault := self._hub.faults.take("sign-fail", **facts):
            return _problem(int(fault.number("status", 500)), "injected fault")
        try:
            data = base64.b64decode(request.json()["data"], validate=True)  # the SDK sends no Content-Type
        except (ValueError, KeyError, TypeError, binascii.Error):
            return _problem(400, "the body needs data in base64")
        return json_response(200, {"digest": sas.digest(identity.primary, data)})
