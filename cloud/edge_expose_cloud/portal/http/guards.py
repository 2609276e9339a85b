"""What every request and every answer must be: known host, small body, same origin for changes, strict headers."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_expose_cloud.portal.http.bodies import (
    BodyLimits,
    Gone,
    TooLarge,
    TooSlow,
    drain,
    has_body,
    read_body,
    replayed,
)

log = logging.getLogger(__name__)
MOST_FIELDS: Final = 1000
UNEXPECTED: Final = "The portal failed; its log has the details. Go back and try again."
CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


# host[:port] and nothing else: user information and paths stand in no Host header that a client means well with.
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class Hosts:
    """Host names (without port) the portal answers to, so that a name rebound to this address opens nothing."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_bare(name) for name in names)

    def knows(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        return found is not None and _bare(found["name"]) in self._names


def is_host_name(text: str) -> bool:
    """Whether a Host header can hold it: a name or an address, without scheme, port or path."""
    try:
        return ipaddress.ip_address(text.strip("[]")) is not None
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9._-]+", text) is not None


def _bare(name: str) -> str:
    return name.strip("[]").rstrip(".").lower()


class Guard:
    """ASGI middleware; a request it does not like never reaches a route."""

    def __init__(self, app: ASGIApp, hosts: Hosts, tls: bool, bodies: BodyLimits) -> None:
        self._app = app
        self._hosts = hosts
        self._tls = tls
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        static = scope["path"].startswith("/static/")
        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _harden(MutableHeaders(scope=message), self._tls, static)
            await send(message)

        problem, more = self._problem(scope["method"], headers), has_body(headers)
        if problem is None and more:
            try:
                receive = replayed(await read_body(receive, self._bodies), receive)
            except TooLarge as error:
                problem, more = (413, f"The request is larger than {self._bodies.most} bytes."), error.more
            except TooSlow:
                problem, more = (408, "The request did not arrive in time."), False
            except Gone:
                return
        if problem is not None:
            if more:
                await drain(receive)
            # Whatever follows on this connection is no request that is worth reading.
            answer = PlainTextResponse(problem[1], problem[0], {"Connection": "close"})
            await answer(scope, receive, with_headers)
            return
        head = scope["method"] == "HEAD" and scope["path"] != "/events"
        try:
            if head:
                await self._app({**scope, "method": "GET"}, receive, _without_body(with_headers))
            else:
                await self._app(scope, receive, with_headers)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise
            await PlainTextResponse(UNEXPECTED, 500)(scope, receive, with_headers)

    def _problem(self, method: str, headers: Headers) -> tuple[int, str] | None:
        if not self._hosts.knows(headers.get("host", "")):
            return 421, "This portal is not served under that host name. Start it with --allow-host NAME to allow it."
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers and "content-length" in headers:
            return 400, "Send either Content-Length or Transfer-Encoding, not both."
        if not length.isdigit() or int(length[:20]) > self._bodies.most:
            return 413, f"The request is larger than {self._bodies.most} bytes."
        if method in ("GET", "HEAD"):
            return None
        if not same_origin(headers, self._tls):
            return 403, "This request comes from another site."
        return None


def _without_body(send: Send) -> Send:
    """HEAD is a GET whose body is not sent; the stream of events, which has no end, has none."""

    async def headers_only(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return headers_only


def same_origin(headers: Headers, tls: bool) -> bool:
    """Browsers send Origin with every POST; a client that sends none must say by Sec-Fetch-Site that it is no other."""
    origin = headers.get("origin")
    if origin is None:
        # No browser: the CSRF token and the cookie are still needed.
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    # Without TLS of our own a proxy may add it; the host is checked in any case.
    return origin in [f"{scheme}://{headers.get('host', '')}" for scheme in (("https",) if tls else ("http", "https"))]


def _harden(headers: MutableHeaders, tls: bool, static: bool) -> None:
    headers["Content-Security-Policy"] = CSP
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"  # no-referrer would make browsers send "Origin: null"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    headers["Cache-Control"] = "public, max-age=3600" if static else "no-store"
    if tls:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def is_text(value: object) -> bool:
    """Whether all of a JSON value can be written down: half of a surrogate pair, such as "\\ud800", cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_fields(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form; the last one of a name counts. ValueError when it is none."""
    pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=False, max_num_fields=MOST_FIELDS)
    return {name: value for name, value in pairs if "\x00" not in value}
