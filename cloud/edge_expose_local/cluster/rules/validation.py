"""Metadata rules and the rules of the smaller kinds."""

from __future__ import annotations

from collections.abc import Callable

from ..kinds import names
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import duplicate, required, unsupported, wrong
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from .data import config_map_errors, secret_errors
from .labels import label_errors
from .pods import pod_errors
from .rbac import binding_errors, role_errors
from .workloads import workload_errors


def name_check(resource: Resource, profile: Profile) -> Callable[[str], list[str]]:
    """Return the rule for names of a resource."""
    if resource.plural == "services":
        # since RelaxedServiceNameValidation is on by default (seen on 1.36.3) a name may begin with a digit
        return names.dns1123_label if profile.modern_service_fields else names.dns1035_label
    if resource.plural == "namespaces":
        return names.dns1123_label
    if resource.group == "rbac.authorization.k8s.io":
        return names.path_segment
    return names.dns1123_subdomain


def metadata_errors(obj: Document, resource: Resource, profile: Profile) -> list[Cause]:
    """Check metadata of a new object."""
    meta = obj["metadata"]
    errors: list[Cause] = []
    name = meta.get("name", "")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += [wrong("metadata.name", name, why) for why in name_check(resource, profile)(name)]
    errors += map_errors(meta)
    for finalizer in meta.get("finalizers") or []:
        errors += [wrong("metadata.finalizers", finalizer, why) for why in names.qualified_name(finalizer)]
    return errors


def map_errors(meta: Document) -> list[Cause]:
    """Check labels and annotations."""
    annotations = meta.get("annotations") or {}
    errors: list[Cause] = []
    for key in annotations:
        errors += [wrong("metadata.annotations", key, why) for why in names.qualified_name(key.lower())]
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > 256 * 1024:
        errors.append(Cause("FieldValueTooLong", "Too long: may not be more than 262144 bytes", "metadata.annotations"))
    return label_errors(meta.get("labels") or {}, "metadata.labels") + errors


def metadata_update_errors(new: Document, old: Document, profile: Profile) -> list[Cause]:
    """Check metadata of a changed object."""
    errors: list[Cause] = []
    before, after = old["metadata"], new["metadata"]
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        if after.get(field, "") != before.get(field, ""):
            errors.append(wrong(f"metadata.{field}", after.get(field, ""), "field is immutable"))
    return errors + map_errors(after)


_LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"


def address_errors(text: str, field: str) -> list[Cause]:
    """Check an endpoint address: an IP that is none of unspecified, loopback, link-local."""
    address = names.parse_ip(text)
    if address is None:
        return [wrong(field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    if address.is_unspecified:
        return [wrong(field, text, f"may not be unspecified ({text})")]
    if address.is_loopback:
        return [wrong(field, text, _LOOPBACK)]
    if address.is_link_local:
        return [wrong(field, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    return []


def _port_errors(ports: list[Document], field: str, *, names_required: bool) -> list[Cause]:
    errors: list[Cause] = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at = f"{field}[{i}]"
        name = port.get("name") or ""
        if name_missing := (names_required and len(ports) > 1 and not name):
            errors.append(required(f"{at}.name"))
        if name and not name_missing:
            errors += [wrong(f"{at}.name", name, why) for why in names.dns1123_label(name)]
        if name in seen and not names_required:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
        if port.get("port") is not None:
            errors += [wrong(f"{at}.port", port["port"], why) for why in names.port_number(port["port"])]
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            errors.append(unsupported(f"{at}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"]))
    return errors


def kind_errors(obj: Document, old: Document | None, resource: Resource, profile: Profile) -> list[Cause]:
    """Check what a kind demands of its own fields (Services have a module of their own)."""
    match resource.kind:
        case "Endpoints":
            return _endpoints(obj)
        case "EndpointSlice":
            return _slice(obj, old)
        case "Pod":
            return pod_errors(obj.get("spec") or {}, "spec", profile)
        case "Deployment" | "ReplicaSet":
            return workload_errors(obj, old, profile)
        case "RoleBinding" | "ClusterRoleBinding":
            return binding_errors(obj, old)
        case "Role" | "ClusterRole":
            return role_errors(obj, profile)
        case "ConfigMap":
            return config_map_errors(obj, old, profile)
        case "Secret":
            return secret_errors(obj, old, profile)
        case "Lease":
            return _lease(obj.get("spec") or {}, profile)
        case "Event":
            return _event(obj)
        case "IPAddressPool":
            addresses = (obj.get("spec") or {}).get("addresses")
            return [] if addresses is not None else [required("spec.addresses")]
    return []


def _lease(spec: Document, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        errors.append(wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        why = "must be greater than or equal to 0" if profile.strict_fields else "must to greater or equal than 0"
        errors.append(wrong("spec.leaseTransitions", transitions, why))
    return errors


def _event(obj: Document) -> list[Cause]:
    where = (obj.get("involvedObject") or {}).get("namespace") or ""
    home = obj["metadata"].get("namespace", "")
    if where == home or (not where and home == "default"):
        return []
    return [wrong("involvedObject.namespace", where, "does not match event.namespace")]


def _endpoints(obj: Document) -> list[Cause]:
    errors: list[Cause] = []
    for i, subset in enumerate(obj.get("subsets") or []):
        at = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(at, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or []):
                errors += address_errors(address.get("ip") or "", f"{at}.{field}[{j}].ip")
        errors += _port_errors(subset.get("ports") or [], f"{at}.ports", names_required=True)
    return errors


def _slice(obj: Document, old: Document | None) -> list[Cause]:
    errors: list[Cause] = []
    kind = obj.get("addressType")
    if not kind:
        errors.append(required("addressType"))
    elif kind not in ("IPv4", "IPv6", "FQDN"):
        errors.append(unsupported("addressType", kind, ["FQDN", "IPv4", "IPv6"]))
    if old is not None and old.get("addressType") != kind:
        errors.append(wrong("addressType", kind, "field is immutable"))
    for i, endpoint in enumerate(obj.get("endpoints") or []):
        at = f"endpoints[{i}].addresses"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            errors.append(required(at, "must contain at least 1 address"))
        for j, address in enumerate(addresses):
            if kind in ("IPv4", "IPv6"):
                errors += address_errors(address, f"{at}[{j}]")
    return errors + _port_errors(obj.get("ports") or [], "ports", names_required=False)
