"""The rules of pods, as far as people get them wrong."""

from __future__ import annotations

import json
import re

from ..kinds import names, quantity
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import Literal, duplicate, forbidden, required, wrong
from ..kinds.profiles import Profile

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_NO_ENV = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not "
    "start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
    "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
)


def _one_of(field: str, value: object, known: list[str]) -> list[Cause]:
    if value is None or value in known:
        return []
    shown = ", ".join(json.dumps(item) for item in known)
    return [
        Cause("FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {shown}", field)
    ]


def pod_errors(spec: Document, where: str, profile: Profile) -> list[Cause]:
    """Check what a pod is made of; `where` is the path of its spec."""
    containers = spec.get("containers") or []
    errors: list[Cause] = []
    seen: set[str] = set()
    if not containers:
        errors.append(required(f"{where}.containers"))
    for i, container in enumerate(containers):
        errors += _container_errors(container, f"{where}.containers[{i}]", seen, spec, profile)
    for i, container in enumerate(spec.get("initContainers") or []):
        errors += _container_errors(container, f"{where}.initContainers[{i}]", seen, spec, profile)
    errors += _one_of(f"{where}.restartPolicy", spec.get("restartPolicy"), ["Always", "OnFailure", "Never"])
    policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]
    errors += _one_of(f"{where}.dnsPolicy", spec.get("dnsPolicy"), policies)
    for field in ("nodeName", "serviceAccountName"):
        if name := spec.get(field):
            errors += [wrong(f"{where}.{field}", name, why) for why in names.dns1123_subdomain(name)]
    return errors


def _container_errors(container: Document, at: str, seen: set[str], spec: Document, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    name, image = container.get("name", ""), container.get("image")
    if not name:
        errors.append(required(f"{at}.name"))
    elif wrongs := names.dns1123_label(name):
        errors += [wrong(f"{at}.name", name, why) for why in wrongs]
    elif name in seen:
        errors.append(duplicate(f"{at}.name", name))
    seen.add(name)
    if not image:
        errors.append(required(f"{at}.image"))
    elif image != image.strip():
        errors.append(wrong(f"{at}.image", image, "must not have leading or trailing whitespace"))
    errors += _port_errors(container, at, spec, profile)
    errors += _env_errors(container, f"{at}.env", profile)
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for i, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            missing = json.dumps(mount.get("name", ""))
            errors.append(Cause("FieldValueNotFound", f"Not found: {missing}", f"{at}.volumeMounts[{i}].name"))
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(field) is not None:
            errors += _probe_errors(container[field], f"{at}.{field}")
    policy = container.get("imagePullPolicy")
    errors += _one_of(f"{at}.imagePullPolicy", policy, ["Always", "IfNotPresent", "Never"])
    return errors + _resource_errors(container.get("resources") or {}, f"{at}.resources", profile)


def _port_errors(container: Document, at: str, spec: Document, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    known: set[str] = set()
    for i, port in enumerate(container.get("ports") or []):
        here = f"{at}.ports[{i}]"
        if name := port.get("name"):
            problems = names.port_name(name)
            errors += [wrong(f"{here}.name", name, why) for why in problems]
            if not problems and name in known:
                errors.append(duplicate(f"{here}.name", name))
            known.add(name)
        number, host = port.get("containerPort") or 0, port.get("hostPort") or 0
        if not number:
            errors.append(required(f"{here}.containerPort"))
        else:
            errors += [wrong(f"{here}.containerPort", number, why) for why in names.port_number(number)]
        if host:
            errors += [wrong(f"{here}.hostPort", host, why) for why in names.port_number(host)]
        if host and host != number and spec.get("hostNetwork"):
            new = wrong(f"{here}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")
            old = wrong(f"{here}.containerPort", number, "must match `hostPort` when `hostNetwork` is true")
            errors.append(new if profile.strict_fields else old)
        errors += _one_of(f"{here}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"])
    return errors


def _env_errors(container: Document, at: str, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    for i, variable in enumerate(container.get("env") or []):
        name = variable.get("name", "")
        if not name:
            errors.append(required(f"{at}[{i}].name"))
        elif not profile.strict_fields and not _ENV.fullmatch(name):
            errors.append(wrong(f"{at}[{i}].name", name, _NO_ENV))
    return errors


def _probe_errors(probe: Document, at: str) -> list[Cause]:
    handlers = [kind for kind in _HANDLERS if probe.get(kind) is not None]
    if not handlers:
        return [required(at, "must specify a handler type")]
    errors = [forbidden(f"{at}.{kind}", "may not specify more than 1 handler type") for kind in handlers[1:]]
    for kind in ("httpGet", "tcpSocket"):
        port = (probe.get(kind) or {}).get("port")
        if isinstance(port, int):
            errors += [wrong(f"{at}.{kind}.port", port, why) for why in names.port_number(port)]
    return errors


def _resource_errors(resources: Document, at: str, profile: Profile) -> list[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    errors: list[Cause] = []
    for field, found in (("limits", limits), ("requests", requests)):
        for key, text in found.items():
            if quantity.value(str(text)) < 0:
                why = "must be greater than or equal to 0"
                errors.append(wrong(f"{at}.{field}[{key}]", Literal(json.dumps(str(text))), why))
    for key, text in requests.items():
        if key in limits and quantity.value(str(text)) > quantity.value(str(limits[key])):
            of = f" of {limits[key]}" if profile.strict_fields else ""
            errors.append(wrong(f"{at}.requests", str(text), f"must be less than or equal to {key} limit{of}"))
    return errors
