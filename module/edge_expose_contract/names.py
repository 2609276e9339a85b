"""Name rules of Kubernetes, and the sanitisers that edgeAgent applies to module and device ids.

edgeAgent deletes characters, never substitutes, and (unlike iotedged) never truncates: what is too long is an error.
"""

from __future__ import annotations

import re
from typing import Final

from edge_expose_contract.identity import LABEL_MANAGED_BY
from edge_expose_contract.violations import RuleError, shown

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

# `<name>-udp` is the second Service of a TCP+UDP exposure, and must fit as well.
UDP_SUFFIX: Final = "-udp"
MAX_LABEL: Final = 63
MAX_EXPOSURE_NAME: Final = MAX_LABEL - len(UDP_SUFFIX)
OUR_PREFIX: Final = "edge-expose.io"
_EDGE_AGENT: Final = "net.azure-devices.edge"
_METALLB: Final = ("metallb.io", "metallb.universe.tf")
_METALLB_FIELDS: Final = {"loadBalancerIPs": "address", "address-pool": "pool", "allow-shared-ip": "share"}


def check_exposure_name(name: str) -> str:
    """An exposure's name is its Service's name: a DNS-1035 label, short enough for a `-udp` twin. Raises RuleError."""
    hint = "use lower-case letters, digits and -, starting with a letter and ending with a letter or digit"
    if not _DNS_1035.fullmatch(name):
        raise RuleError("InvalidName", f"{shown(name)} cannot be the name of a Service", hint)
    if len(name) > MAX_EXPOSURE_NAME:
        raise RuleError("InvalidName", f"{shown(name)} is longer than {MAX_EXPOSURE_NAME} characters", "shorten it")
    return name


def check_namespace(name: str) -> str:
    if not _DNS_1123.fullmatch(name) or len(name) > MAX_LABEL:
        raise RuleError(
            "InvalidNamespace", f"{shown(name)} is not a namespace name", "lower-case letters, digits and -, at most 63"
        )
    return name


def check_dns_name(name: str) -> str:
    parts = name.split(".")
    if len(name) > 253 or not all(_DNS_1123.fullmatch(part) and len(part) <= MAX_LABEL for part in parts):
        raise RuleError(
            "InvalidHostname", f"{shown(name)} is not a DNS name", "write it like web.site1.example.com, in lower case"
        )
    return name


def check_port_name(name: str) -> str:
    """A named target port: at most 15 lower-case letters, digits and single -, with at least one letter."""
    fits = _PORT_NAME.fullmatch(name) and len(name) <= 15 and "--" not in name and any(c.isalpha() for c in name)
    if not fits:
        raise RuleError(
            "InvalidPortName",
            f"{shown(name)} is not a port name",
            "at most 15 lower-case letters, digits and -, with a letter",
        )
    return name


def check_service_port_name(name: str) -> str:
    if not _DNS_1123.fullmatch(name) or len(name) > MAX_LABEL:
        raise RuleError(
            "InvalidPortName",
            f"{shown(name)} is not a Service port name",
            "lower-case letters, digits and -, at most 63",
        )
    return name


def check_qualified_name(name: str) -> str:
    """`[prefix/]name` as Kubernetes wants it for label and annotation keys, classes and appProtocol."""
    prefix, slash, last = name.rpartition("/")
    if slash:
        try:
            check_dns_name(prefix)
        except RuleError:
            raise RuleError(
                "InvalidKey", f"{shown(name)} has a bad prefix", "the part before / is a DNS name"
            ) from None
    if not _NAME_PART.fullmatch(last) or len(last) > MAX_LABEL:
        raise RuleError(
            "InvalidKey", f"{shown(name)} is not a Kubernetes key", "[dns.prefix/]name of letters, digits, - _ ."
        )
    return name


def check_label_value(value: str) -> str:
    if value and (not _NAME_PART.fullmatch(value) or len(value) > MAX_LABEL):
        raise RuleError(
            "InvalidLabelValue", f"{shown(value)} is not a label value", "at most 63 letters, digits, - _ ."
        )
    return value


def split_pair(text: str) -> tuple[str, str]:
    """`key=value`; the value may hold `=`. Dotted keys cannot be twin keys, hence pairs in lists."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RuleError("InvalidPair", f"{shown(text)} is not key=value", "write it like app=web")
    return key.strip(), value.strip()


def check_label(text: str) -> tuple[str, str]:
    key, value = split_pair(text)
    return check_qualified_name(key), check_label_value(value)


def check_module_label(module: str) -> None:
    """That the pods of an IoT Edge module carry a label that a Service can select. Raises RuleError."""
    value = module_object_name(module)
    if not value:
        raise RuleError(
            "InvalidLabelValue",
            f"edgeAgent keeps no character of module {shown(module)}: its pods have no label to select",
            "use letters and digits in the module's name, or a selector",
        )
    check_label_value(value)


def check_own_label(text: str) -> None:
    """A label for our own Service: none that says whose it is. Raises RuleError."""
    key, _ = check_label(text)
    if key == LABEL_MANAGED_BY or _prefix(key) == OUR_PREFIX:
        raise RuleError("ReservedKey", f"{shown(key)} says whose a Service is", "choose a key of your own")
    if _prefix(key) == _EDGE_AGENT:
        raise RuleError("ReservedKey", f"edgeAgent deletes what carries {shown(key)}", "choose a key of your own")


def check_own_annotation(text: str) -> None:
    """An annotation for our own Service: none that another field stands for. Raises RuleError."""
    key = split_pair(text)[0]
    # The lower case of some other letters is an ASCII letter.
    check_qualified_name(key.lower() if key.isascii() else key)
    prefix, _, last = key.rpartition("/")
    if prefix.lower() in _METALLB:
        field = _METALLB_FIELDS.get(last, "address, pool or share")
        raise RuleError("ReservedKey", f"{shown(key)} could contradict what is asked for", f"use the field {field}")
    if prefix.lower() == OUR_PREFIX:
        raise RuleError("ReservedKey", f"{shown(key)} is for our own notes", "choose a key of your own")


def _prefix(key: str) -> str:
    """The part before the slash; of a key without one, the part before its last dot."""
    prefix, slash, _ = key.rpartition("/")
    return prefix if slash else key.rpartition(".")[0]


# --- edgeAgent's sanitisers (C#, KubeUtils): they delete characters ---


def sanitize_k8s_value(text: str) -> str:
    """Object names of edgeAgent: lower case, only a-z 0-9 - . kept, at most 253. Raises RuleError when too long."""
    kept = "".join(c for c in text.lower() if c.isascii() and (c.isalnum() or c in "-."))
    if len(kept) > 253:
        raise RuleError("NameTooLong", f"{shown(text)} is longer than 253 characters for edgeAgent", "shorten it")
    return kept


def sanitize_label_value(text: str) -> str:
    """edgeAgent's label values: ends trimmed to a letter or digit first, then everything but a-z 0-9 - . _ deleted."""
    lowered = text.lower()
    start, end = 0, len(lowered)
    while start < end and not (lowered[start].isascii() and lowered[start].isalnum()):
        start += 1
    while end > start and not (lowered[end - 1].isascii() and lowered[end - 1].isalnum()):
        end -= 1
    kept = "".join(c for c in lowered[start:end] if c.isascii() and (c.isalnum() or c in "-._"))
    if len(kept) > MAX_LABEL:
        raise RuleError("NameTooLong", f"{shown(text)} is longer than 63 characters for edgeAgent", "shorten it")
    return kept


def module_object_name(module_id: str) -> str:
    """The one name edgeAgent gives to a module's Deployment, pods' label, Service and ServiceAccount."""
    return sanitize_k8s_value(module_id)
