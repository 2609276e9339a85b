"""Reading bodies, and cutting long answers into pages with continuation tokens. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.hub.errors import argument_invalid, bad_request

JsonObject = dict[str, Any]
MAX_PAGE = 1000


def read_body(request: Request) -> JsonObject:
    try:
        body = request.json()
    except ValueError as error:
        raise bad_request("the body is no JSON") from error
    if not isinstance(body, dict):
        raise bad_request("the body is not an object")
    return body


def read_top(request: Request) -> int:
    text = request.arg("top", str(MAX_PAGE))
    if not text.isdigit() or not int(text) > 0:
        raise argument_invalid(f"top '{text}' is not a number above 0")
    return min(int(text), MAX_PAGE)


def page(request: Request, rows: list[JsonObject], item_type: str, fingerprint: str) -> Response:
    """One page of `rows`: size and position come in headers (or, for jobs, in the query string).

    `fingerprint` names what was asked, so that a token of another question is refused. Raises HubError 400.
    """
    size_text = request.headers.get("x-ms-max-item-count", "") or request.arg("pageSize")
    if size_text and (not size_text.isdigit() or not int(size_text) > 0):
        raise bad_request("x-ms-max-item-count is not a number above 0")
    size = min(int(size_text or 100), MAX_PAGE)
    token = request.headers.get("x-ms-continuation", "") or request.arg("continuationToken")
    start = _page_start(token, fingerprint)
    headers = {"x-ms-item-type": item_type}
    if start + size < len(rows):
        headers["x-ms-continuation"] = _page_token(start + size, fingerprint)
    return json_response(200, rows[start : start + size], headers)


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _page_token(start: int, text: str) -> str:
    return base64.b64encode(json.dumps([start, _fingerprint(text)]).encode()).decode()


def _page_start(token: str, text: str) -> int:
    if not token:
        return 0
    try:
        start, fingerprint = json.loads(base64.b64decode(token, validate=True))
    except (ValueError, TypeError) as error:
        raise bad_request("x-ms-continuation is not one of this hub's tokens") from error
    if fingerprint != _fingerprint(text) or not isinstance(start, int):
        raise bad_request("x-ms-continuation belongs to another query")
    return start
