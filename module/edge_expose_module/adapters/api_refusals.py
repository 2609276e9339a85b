"""What a Kubernetes API server means by an answer that is an error, from its code, causes and text.

A 403 may be RBAC, a quota, an admission rule or a namespace on its way out, and a 500 a full range: each has its own
reason. The texts are those recorded from 1.20.15 and 1.36.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from edge_expose_module.cluster.api import (
    ClusterError,
    Conflict,
    Denied,
    Gone,
    NotFound,
    Refused,
    Rejected,
    Unauthorized,
    Unavailable,
)

_BY_CODE: Final[Mapping[int, type[ClusterError]]] = {
    400: Rejected,
    401: Unauthorized,
    403: Denied,
    404: NotFound,
    405: Rejected,
    409: Conflict,
    410: Gone,
    415: Rejected,
    422: Rejected,
}


_PARTY: Final = re.compile(
    r"""exceeded\ quota:\ ([^,\s]+) | webhook\ "([^"]+)" | ValidatingAdmissionPolicy\ '([^']+)'""", re.VERBOSE
)


def error_of(code: int, status: Mapping[str, Any]) -> ClusterError:
    """The error for a Status object."""
    message = str(status.get("message") or status.get("reason") or f"HTTP {code}")
    return _refusal(code, message, _causes(status)) or _BY_CODE.get(code, Unavailable)(message)


def _causes(status: Mapping[str, Any]) -> frozenset[str]:
    details = status.get("details")
    causes = (details.get("causes") if isinstance(details, Mapping) else None) or ()
    return frozenset(str(cause.get("reason", "")) for cause in causes if isinstance(cause, Mapping))


def _refusal(code: int, message: str, causes: frozenset[str]) -> Refused | None:
    if "NamespaceTerminating" in causes:
        return Refused("NamespaceTerminating", message)
    if code == 403 and "exceeded quota: " in message:
        return Refused("QuotaExceeded", message, _named(message))
    is_webhook = message.startswith("admission webhook ") and "denied the request" in message
    if is_webhook or (code in (403, 422) and "ValidatingAdmissionPolicy " in message and " denied request" in message):
        return Refused("PolicyDenied", message, _named(message))
    if code == 403 and " cannot " not in message:
        return Refused("PolicyDenied", message)
    if code == 500 and "failed to allocate a serviceIP" in message:
        return Refused("ClusterIPsExhausted", message)
    if code == 500 and "failed to allocate a nodePort" in message:
        return Refused("NodePortsExhausted", message)
    if code == 500 and "failed calling webhook" in message:
        return Refused("WebhookUnavailable", message, _named(message))
    return None


def _named(message: str) -> str:
    """The quota, the webhook or the policy that the text names; empty when it names none."""
    found = _PARTY.search(message)
    return next((name for name in found.groups() if name), "") if found is not None else ""
