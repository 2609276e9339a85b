"""What a load balancer may write into the status of a Service."""

from __future__ import annotations

import re

from ..kinds.errors import Cause, Document
from ..kinds.field_errors import forbidden, unsupported, wrong
from ..kinds.names import dns1123_subdomain, parse_ip
from ..kinds.profiles import Profile

_FIELD = "status.loadBalancer.ingress"
_OCTETS = re.compile(r"\d+(\.\d+){3}")


def status_errors(obj: Document, profile: Profile) -> list[Cause]:
    """Check the external addresses of a status that was written."""
    ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if ingress and profile.modern_service_fields and obj["spec"].get("type") != "LoadBalancer":
        return [forbidden(_FIELD, "may only be used when `spec.type` is 'LoadBalancer'")]
    return [cause for i, entry in enumerate(ingress) for cause in _entry(entry, f"{_FIELD}[{i}]", profile)]


def _entry(entry: Document, at: str, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    ip, hostname, mode = entry.get("ip"), entry.get("hostname"), entry.get("ipMode")
    if ip and parse_ip(ip) is None:
        errors.append(wrong(f"{at}.ip", ip, _why_no_ip(ip, profile)))
    if profile.ip_mode and mode is not None:
        if not ip:
            errors.append(forbidden(f"{at}.ipMode", "may not be specified when `ip` is not set"))
        elif mode not in ("VIP", "Proxy"):
            errors.append(unsupported(f"{at}.ipMode", mode, ["VIP", "Proxy"]))
    if hostname:
        errors += [wrong(f"{at}.hostname", hostname, why) for why in dns1123_subdomain(hostname)]
        if parse_ip(hostname) is not None:
            errors.append(wrong(f"{at}.hostname", hostname, "must be a DNS name, not an IP address"))
    return errors


def _why_no_ip(text: str, profile: Profile) -> str:
    if not profile.modern_service_fields:
        return "must be a valid IP address"
    if _OCTETS.fullmatch(text) and any(len(part) > 1 and part[0] == "0" for part in text.split(".")):
        return "must not have leading 0s"
    return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
