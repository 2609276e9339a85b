"""Translates what azure-iot-hub, msrest and requests raise into HubError. No secret passes through."""

from __future__ import annotations

import json
import re
from typing import Any

from edge_expose_cloud.adapters.entra_errors import sign_in_error
from edge_expose_cloud.hub.api import HubError, HubProblem

_SECRETS = re.compile(r"(SharedAccessKey=|SharedAccessSignature |sig=|Bearer )[^\s;&\"']+", re.IGNORECASE)
_BY_STATUS = {
    400: HubProblem.INVALID,
    401: HubProblem.UNAUTHORIZED,
    403: HubProblem.FORBIDDEN,
    404: HubProblem.NOT_FOUND,
    405: HubProblem.INVALID,
    409: HubProblem.CONFLICT,
    412: HubProblem.PRECONDITION,
    413: HubProblem.INVALID,
    429: HubProblem.THROTTLED,
}
_OFFLINE = ("DeviceNotOnline", "404103")


def scrub(text: str) -> str:
    """The text without keys, signatures and tokens."""
    return _SECRETS.sub(r"\1***", text)


def translate(error: Exception, what: str) -> HubError:
    """`what` names the call for people, such as `reading the twin of edge1/edge-expose`."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        text = getattr(response, "text", "") or ""
        headers = getattr(response, "headers", None) or {}
        return from_answer(
            status, str(headers.get("iothub-errorcode") or ""), text if isinstance(text, str) else "", what
        )
    inner = getattr(error, "inner_exception", None) or error.__cause__
    kind = type(error).__name__
    detail = scrub(str(inner or error)).split("\n", 1)[0][:300]
    if kind == "ClientRequestError" and "too many" in detail and "error responses" in detail:
        return HubError(HubProblem.UNAVAILABLE, f"{what}: the hub kept answering with server errors")
    if kind == "ClientAuthenticationError" or kind == "CredentialUnavailableError":
        return sign_in_error(scrub(str(error)))
    if kind in ("ClientRequestError", "ConnectionError", "TokenExpiredError", "ServiceRequestError") or isinstance(
        error, OSError
    ):
        return HubError(HubProblem.UNREACHABLE, f"{what}: the hub could not be reached ({_short_network(detail)})")
    if kind in ("ValidationError", "SerializationError"):
        return HubError(HubProblem.INVALID, f"{what}: {detail}")
    return HubError(HubProblem.UNEXPECTED, f"{what}: {kind}: {detail}")


def from_answer(status: int, header_code: str, body: str, what: str) -> HubError:
    """The best discriminator is the header `iothub-errorcode`; bodies come in three shapes."""
    code, message = read_body(body)
    code = header_code or code
    problem = _BY_STATUS.get(status, HubProblem.UNAVAILABLE if status >= 500 else HubProblem.UNEXPECTED)
    if problem is HubProblem.NOT_FOUND and (any(mark in code for mark in _OFFLINE) or "404103" in message):
        problem = HubProblem.OFFLINE
    text = scrub(message)[:500] or "no explanation"
    label = f" {code}" if code else ""
    return HubError(problem, f"{what}: the hub answered {status}{label}: {text}", code)


def read_body(body: str) -> tuple[str, str]:
    """(code, text) of an error body; ("", "") when there is none."""
    try:
        data: Any = json.loads(body)
    except ValueError:
        return "", body.strip()
    if isinstance(data, str):
        return read_body(data)
    if not isinstance(data, dict):
        return "", body.strip()
    message = data.get("Message", data.get("message", ""))
    code = str(data.get("errorCode") or "")
    if isinstance(message, str) and message.lstrip().startswith("{"):
        inner_code, inner = read_body(message)
        return inner_code or code, inner
    text = str(message)
    match = re.match(r"ErrorCode:([A-Za-z0-9]+);(.*)", text, re.DOTALL)
    if match:
        return match[1], match[2].strip()
    return code, text


def _short_network(detail: str) -> str:
    for mark, said in (
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here"),
        ("Connection refused", "connection refused"),
        ("Name or service not known", "the name does not resolve"),
        ("Temporary failure in name resolution", "the name does not resolve"),
        ("Failed to resolve", "the name does not resolve"),
        ("timed out", "timed out"),
    ):
        if mark in detail:
            return said
    return detail
