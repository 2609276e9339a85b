"""The name, label, port and address formats of Kubernetes; each check returns messages, none when fine."""

from __future__ import annotations

import ipaddress
import re

_LABEL_FMT = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_FMT = _LABEL_FMT + "(\\." + _LABEL_FMT + ")*"
_DNS1035_FMT = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED_FMT = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE_FMT = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _regex(message: str, pattern: str, *examples: str) -> str:
    shown = ", ".join(f"'{example}'" if i == 0 else f" or '{example}'" for i, example in enumerate(examples))
    return f"{message} (e.g. {shown}, regex used for validation is '{pattern}')"


def dns1035_label(value: str) -> list[str]:
    """Check a Service name."""
    errors = [_too_long(63)] if len(value) > 63 else []
    if not re.fullmatch(_DNS1035_FMT, value):
        message = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character"
        )
        errors.append(_regex(message, _DNS1035_FMT, "my-name", "abc-123"))
    return errors


def dns1123_label(value: str) -> list[str]:
    """Check a namespace or port name."""
    errors = [_too_long(63)] if len(value) > 63 else []
    if not re.fullmatch(_LABEL_FMT, value):
        if re.fullmatch(_SUBDOMAIN_FMT, value):
            errors.append("must not contain dots")
        else:
            message = (
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
                "and end with an alphanumeric character"
            )
            errors.append(_regex(message, _LABEL_FMT, "my-name", "123-abc"))
    return errors


def dns1123_subdomain(value: str) -> list[str]:
    """Check the name of most objects."""
    errors = [_too_long(253)] if len(value) > 253 else []
    if not re.fullmatch(_SUBDOMAIN_FMT, value):
        message = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character"
        )
        errors.append(_regex(message, _SUBDOMAIN_FMT, "example.com"))
    return errors


def path_segment(value: str) -> list[str]:
    """Check names of RBAC objects."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in value]


def qualified_name(value: str) -> list[str]:
    """Check a label or annotation key, or an appProtocol."""
    parts = value.split("/")
    errors: list[str] = []
    if len(parts) > 2:
        message = (
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character"
        )
        text = _regex(message, _QUALIFIED_FMT, "MyName", "my.name", "123-abc")
        return [text + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if len(parts) == 2:
        if not parts[0]:
            errors.append("prefix part must be non-empty")
        else:
            errors += ["prefix part " + message for message in dns1123_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part " + _too_long(63))
    if not re.fullmatch(_QUALIFIED_FMT, name):
        message = (
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character"
        )
        errors.append(_regex(message, _QUALIFIED_FMT, "MyName", "my.name", "123-abc"))
    return errors


def label_value(value: str) -> list[str]:
    """Check the value of a label."""
    errors = [_too_long(63)] if len(value) > 63 else []
    if not re.fullmatch(_VALUE_FMT, value):
        message = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character"
        )
        errors.append(_regex(message, _VALUE_FMT, "MyValue", "my_value", "12345"))
    return errors


def port_number(value: int) -> list[str]:
    """Check a port number."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """Check a named target port."""
    errors: list[str] = []
    if len(value) > 15:
        errors.append("must be no more than 15 characters")
    if not re.fullmatch("[-a-z0-9]+", value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        errors.append("must not begin or end with a hyphen")
    return errors


def parse_ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address as Go's net.ParseIP does: IPv4-mapped IPv6 is IPv4, a zone is refused."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id:
            return None
        return address.ipv4_mapped or address
    return address
