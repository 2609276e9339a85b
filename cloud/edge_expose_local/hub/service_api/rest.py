"""The service API over HTTPS: who may do what, which operation a path means, faults, throttles and error bodies.

The operations themselves are in operations.py and job_operations.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import date

from edge_expose_local.http.messages import Request, Response
from edge_expose_local.hub.access import sas
from edge_expose_local.hub.errors import HubError, argument_invalid, unauthorized
from edge_expose_local.hub.hub import RIGHTS, Hub
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.service_api.job_operations import JobOperations
from edge_expose_local.hub.service_api.operations import Operations
from edge_expose_local.hub.service_api.routes import ROUTES, Caller, Route, find_route, not_offered

_API_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?")
OLDEST_API, NEWEST_API = date(2016, 2, 3), date(2026, 12, 31)


def check_api_version(text: str | None) -> None:
    """Any dated version of the service's lifetime. Raises HubError 400."""
    match = _API_VERSION.fullmatch(text or "")
    try:
        known = match is not None and OLDEST_API <= date.fromisoformat(match.group(1)) <= NEWEST_API
    except ValueError:
        known = False
    if not known:
        raise HubError(400, "InvalidProtocolVersion", f"api-version '{text or ''}' is not supported", 400002)


class ServiceApi:
    def __init__(self, hub: Hub, operations: Operations, jobs: JobOperations) -> None:
        self._hub = hub
        self._handlers: dict[str, Callable[..., Awaitable[Response]]] = {
            route.handler: getattr(jobs if hasattr(jobs, route.handler) else operations, route.handler)
            for route in ROUTES
        }

    async def handle(self, request: Request) -> Response | None:
        """One call, with the faults that are set for it. None closes the connection without an answer."""
        facts = {"path": request.path, "method": request.method}
        faults = self._hub.faults
        if fault := faults.take("http-hang", **facts):
            await asyncio.sleep(fault.number("seconds", 120))
            return None
        fault = faults.take("http-status", **facts)
        if fault is not None and not fault.options.get("after_apply"):
            return self._injected(
                int(fault.number("status", 500)), fault.options.get("retry_after"), fault.options.get("body")
            )
        response = await self._answer(request)
        if fault is not None:
            return self._injected(
                int(fault.number("status", 500)), fault.options.get("retry_after"), fault.options.get("body")
            )
        if faults.take("http-empty", **facts):
            return Response(200)
        if faults.take("http-garbage", **facts):
            return Response(200, b"<html>not json", {"Content-Type": "application/json"})
        return response

    def _injected(self, status: int, retry_after: float | None, body: str | None) -> Response:
        response = self._error(
            HubError(status, "ThrottlingException" if status == 429 else "ServerError", "injected fault")
        )
        if retry_after is not None:
            response.headers["Retry-After"] = str(int(retry_after))
        return response if body is None else Response(status, body.encode(), response.headers)

    def _error(self, error: HubError) -> Response:
        headers = {"Content-Type": "application/json; charset=utf-8", "iothub-errorcode": error.name}
        return Response(error.status, error.body(self._hub.state.now()), headers, close=error.close)

    async def _answer(self, request: Request) -> Response:
        try:
            route, arguments = self._route(request)
            check_api_version(request.arg("api-version"))
            caller = self._authorize(request, route, arguments)
            self._hub.throttle.check(route.operation, self._hub.state.clock())
            return await self._handlers[route.handler](request, caller, *arguments)
        except HubError as error:
            return self._error(error)
        finally:
            self._hub.commit()  # also after a refusal: memory and disk must not differ

    @staticmethod
    def _route(request: Request) -> tuple[Route, list[str]]:
        try:
            segments = request.segments
            "".join(segments).encode()
        except UnicodeError as error:
            raise argument_invalid("the path is not UTF-8") from error
        found = find_route(request.method, segments)
        if not isinstance(found, tuple) and (what := not_offered(segments)):
            text = f"the local hub does not offer {what}; see its README"
            raise HubError(501, "NotImplemented", text, 501000)
        if found is None:
            raise HubError(
                404, "InvalidOperation", f"{request.method} {request.path} is no operation of this hub", 404000
            )
        if isinstance(found, str):
            raise HubError(405, "MethodNotAllowed", f"{request.method} is not allowed here, only {found}", 405000)
        return found

    def _authorize(self, request: Request, route: Route, arguments: list[str]) -> Caller:
        token = sas.parse(request.headers.get("authorization", ""))
        if isinstance(token, str):
            raise unauthorized(f"Authorization: {token}")
        if token.expiry <= self._hub.state.clock():
            raise unauthorized("The token has expired")
        path = self._hub.own_resource(token.plain_resource)
        if path is None:
            raise unauthorized("The token is for another host")
        if token.policy is None:
            return self._authorize_module(request, route, arguments)
        key = self._hub.policies.get(token.policy)
        if key is None or not sas.signed_by(token, (key,)):
            raise unauthorized("The signature or the policy name is wrong")
        if path and not "/".join(request.segments).startswith(path):
            raise unauthorized("The token is for another resource")
        if route.right not in RIGHTS[token.policy]:
            raise unauthorized(f"Policy {token.policy} lacks the right {route.right}")
        return Caller(token.policy)

    def _authorize_module(self, request: Request, route: Route, arguments: list[str]) -> Caller:
        """A module may call methods of its own device, through the gateway, with its own token."""
        device, _, module = request.headers.get("x-ms-edge-moduleid", "").partition("/")
        if route.handler != "invoke_method" or not module or device != arguments[0]:
            raise unauthorized("A policy name (skn) is missing")
        token = self._hub.identity_token(TwinKey(device, module), request.headers.get("authorization", ""))
        if isinstance(token, str):
            raise unauthorized(token)
        return Caller(f"{device}/{module}")
