"""What the API server demands of a Service, in its own words (metallb-services.md section 5 in the reference)."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from ..kinds import names
from ..kinds.errors import Cause, Document
from ..kinds.field_errors import Literal, duplicate, forbidden, many, required, unsupported, wrong
from ..kinds.profiles import Profile
from ..rules.labels import label_errors

_PROTOCOLS = ["SCTP", "TCP", "UDP"]
_TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
EXPOSED = ("LoadBalancer", "NodePort")
RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"


def is_headless(spec: Document) -> bool:
    """Tell whether a Service has no cluster IP by wish."""
    return bool((spec.get("clusterIPs") or [spec.get("clusterIP")])[0] == "None")


def needs_health_check(spec: Document) -> bool:
    """Tell whether a Service gets a healthCheckNodePort."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def service_errors(service: Document, old: Document | None, profile: Profile) -> list[Cause]:
    """Return every field error of a Service in the order the API server lists them."""
    spec: Document = service.get("spec") or {}
    kind = spec.get("type")
    ports: list[Document] = spec.get("ports") or []
    errors: list[Cause] = []
    if old is not None:
        errors += _change_errors(spec, old.get("spec") or {}, profile)
    if not ports and not is_headless(spec) and kind != "ExternalName":
        errors.append(required("spec.ports"))
    match kind:
        case "LoadBalancer":
            if not profile.modern_service_fields:
                errors += [
                    wrong(
                        f"spec.ports[{i}]",
                        port.get("port"),
                        "may not expose port 10250 externally since it is used by kubelet",
                    )
                    for i, port in enumerate(ports)
                    if port.get("port") == 10250
                ]
            if is_headless(spec):
                errors.append(wrong("spec.clusterIPs[0]", "None", "may not be set to 'None' for LoadBalancer services"))
        case "NodePort":
            if is_headless(spec):
                errors.append(wrong("spec.clusterIPs[0]", "None", "may not be set to 'None' for NodePort services"))
        case "ExternalName":
            errors += _external_name(spec)
    errors += _ports(ports, profile)
    errors += label_errors(spec.get("selector") or {}, "spec.selector")
    errors += _affinity(spec)
    if kind != "ExternalName":
        errors += _cluster_ips(spec)
    for i, text in enumerate(spec.get("externalIPs") or []):
        if names.parse_ip(text) is None:
            errors.append(
                wrong(f"spec.externalIPs[{i}]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
            )
    if not kind:
        errors.append(required("spec.type"))
    elif kind not in _TYPES:
        errors.append(unsupported("spec.type", kind, _TYPES))
    if kind == "LoadBalancer" and not profile.mixed_protocols:
        errors += _one_protocol(ports)
    if kind == "ClusterIP":
        errors += [
            forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for i, port in enumerate(ports)
            if port.get("nodePort")
        ]
    errors += _duplicates(ports, profile)
    errors += _source_ranges(service, profile)
    if profile.modern_service_fields:
        errors += _modern(spec)
    return errors + _traffic_policy(spec, profile)


def _change_errors(spec: Document, old: Document, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    new_ips, old_ips = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    external = "ExternalName" in (spec.get("type"), old.get("type"))
    if not external and not (is_headless(spec) and is_headless(old)):
        if len(new_ips) == len(old_ips):
            for i, (new, before) in enumerate(zip(new_ips, old_ips, strict=True)):
                if new != before:
                    errors.append(wrong(f"spec.clusterIPs[{i}]", many(new_ips, profile), "may not change once set"))
        elif not new_ips:
            errors.append(wrong("spec.clusterIPs[0]", new_ips, "primary clusterIP can not be unset"))
        elif old_ips and new_ips[0] != old_ips[0]:
            errors.append(wrong("spec.clusterIPs[0]", many(new_ips, profile), "may not change once set"))
    new_families, old_families = spec.get("ipFamilies") or [], old.get("ipFamilies") or []
    if not external and new_families and old_families and new_families[0] != old_families[0] and not is_headless(spec):
        errors.append(wrong("spec.ipFamilies[0]", new_families[0], "may not change once set"))
    if spec.get("type") == old.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") != old.get(
        "loadBalancerClass"
    ):
        errors.append(wrong("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set"))
    if (
        needs_health_check(spec)
        and needs_health_check(old)
        and spec.get("healthCheckNodePort") != old.get("healthCheckNodePort")
    ):
        value = spec.get("healthCheckNodePort", 0)
        errors.append(wrong("spec.healthCheckNodePort", value, "field is immutable"))
    return errors


def _external_name(spec: Document) -> list[Cause]:
    errors: list[Cause] = []
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field):
            errors.append(forbidden(f"spec.{field}", "may not be set for ExternalName services"))
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        errors.append(required("spec.externalName"))
    else:
        errors += [wrong("spec.externalName", name, why) for why in names.dns1123_subdomain(name)]
    return errors


def _ports(ports: list[Document], profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at = f"spec.ports[{i}]"
        name = port.get("name") or ""
        if not name and len(ports) > 1:
            errors.append(required(f"{at}.name"))
        elif name:
            errors += [wrong(f"{at}.name", name, why) for why in names.dns1123_label(name)]
            if name in seen:
                errors.append(duplicate(f"{at}.name", name))
            seen.add(name)
        number = port.get("port") or 0
        errors += [wrong(f"{at}.port", number, why) for why in names.port_number(number)]
        protocol = port.get("protocol")
        if not protocol:
            errors.append(required(f"{at}.protocol"))
        elif protocol not in _PROTOCOLS:
            errors.append(unsupported(f"{at}.protocol", protocol, _PROTOCOLS))
        target = port.get("targetPort")
        if isinstance(target, int):
            errors += [wrong(f"{at}.targetPort", target, why) for why in names.port_number(target)]
        elif isinstance(target, str):
            errors += [wrong(f"{at}.targetPort", target, why) for why in names.port_name(target)]
        if port.get("appProtocol"):
            errors += [
                wrong(f"{at}.appProtocol", port["appProtocol"], why)
                for why in names.qualified_name(port["appProtocol"])
            ]
    return errors


def _affinity(spec: Document) -> list[Cause]:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    if not affinity:
        return [required("spec.sessionAffinity")]
    if affinity not in ("ClientIP", "None"):
        return [unsupported("spec.sessionAffinity", affinity, ["ClientIP", "None"])]
    if affinity == "None":
        why = "must not be set when session affinity is None"
        return [forbidden("spec.sessionAffinityConfig", why)] if config is not None else []
    seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
    at = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    if seconds is None:
        return [required(at)] if config else []
    return [] if 1 <= seconds <= 86400 else [wrong(at, seconds, "must be greater than 0 and less than 86400")]


def _cluster_ips(spec: Document) -> list[Cause]:
    errors: list[Cause] = []
    one, many = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if one and not many:
        errors.append(required("spec.clusterIPs"))
    elif one and many[0] != one:
        errors.append(wrong("spec.clusterIPs", many, "first value must match `clusterIP`"))
    elif not one and many:
        errors.append(wrong("spec.clusterIPs", many, "must be empty when `clusterIP` is not specified"))
    families = spec.get("ipFamilies") or []
    for i, family in enumerate(families):
        if family not in ("IPv4", "IPv6"):
            errors.append(unsupported(f"spec.ipFamilies[{i}]", family, ["IPv4", "IPv6"]))
        if family in families[:i]:
            errors.append(duplicate(f"spec.ipFamilies[{i}]", family))
    policy = spec.get("ipFamilyPolicy")
    policies = ["PreferDualStack", "RequireDualStack", "SingleStack"]
    if policy and policy not in policies:
        errors.append(unsupported("spec.ipFamilyPolicy", policy, policies))
    for i, text in enumerate(many):
        if i == 0 and text == "None":
            if len(many) > 1:
                errors.append(wrong("spec.clusterIPs", many, "'None' must be the first and only value"))
            continue
        if names.parse_ip(text) is None:
            errors.append(
                wrong(f"spec.clusterIPs[{i}]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
            )
    return errors


def _one_protocol(ports: list[Document]) -> list[Cause]:
    protocols = sorted({port.get("protocol") or "" for port in ports})
    if len(protocols) < 2:
        return []
    # the real one looks before it allocates node ports
    text = ", ".join(_go_port({**port, "nodePort": 0}) for port in ports)
    message = (
        f"Invalid value: []core.ServicePort{{{text}}}: may not contain more than 1 protocol when type is 'LoadBalancer'"
    )
    return [Cause("FieldValueInvalid", message, "spec.ports")]


def _go_port(port: Document) -> str:
    target = port.get("targetPort", 0)
    kind, number, text = (1, 0, target) if isinstance(target, str) else (0, target, "")
    app = "(*string)(nil)"
    return (
        f"core.ServicePort{{Name:{json.dumps(port.get('name', ''))}, Protocol:{json.dumps(port.get('protocol', ''))}, "
        f"AppProtocol:{app}, Port:{port.get('port', 0)}, TargetPort:intstr.IntOrString{{Type:{kind}, IntVal:{number}, "
        f"StrVal:{json.dumps(text)}}}, NodePort:{port.get('nodePort', 0)}}}"
    )


def _new_port(port: Document) -> str:
    """The same as new versions show it; only what tells ports apart is compared, so the rest is empty."""
    shown = {"Name": "", "Protocol": port["protocol"], "AppProtocol": None}
    return json.dumps({**shown, "Port": port["port"], "TargetPort": 0, "NodePort": 0}, separators=(",", ":"))


def _duplicates(ports: list[Document], profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    modern = profile.modern_service_fields
    node: set[tuple[Any, Any]] = set()
    for i, port in enumerate(ports):
        number = port.get("nodePort")
        if not number:
            continue
        if (port.get("protocol"), number) in node:
            errors.append(duplicate(f"spec.ports[{i}].nodePort", number))
        node.add((port.get("protocol"), number))
    seen: set[tuple[Any, Any]] = set()
    for i, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            bare = {"protocol": key[0], "port": key[1]}
            errors.append(duplicate(f"spec.ports[{i}]", Literal(_new_port(bare) if modern else _go_port(bare))))
        seen.add(key)
    return errors


def _source_ranges(service: Document, profile: Profile) -> list[Cause]:
    spec = service.get("spec") or {}
    annotation = (service["metadata"].get("annotations") or {}).get(RANGES_ANNOTATION)
    ranges: list[str] = spec.get("loadBalancerSourceRanges") or []
    if not ranges and annotation is None:
        return []
    field = "spec.loadBalancerSourceRanges" if ranges else f"metadata.annotations[{RANGES_ANNOTATION}]"
    if spec.get("type") != "LoadBalancer":
        where = "spec.LoadBalancerSourceRanges" if not profile.modern_service_fields else field
        return [forbidden(where, "may only be used when `type` is 'LoadBalancer'")]
    errors: list[Cause] = []
    for i, text in enumerate(ranges or (annotation or "").split(",")):
        try:
            if "/" not in text.strip():
                raise ValueError
            ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            if not profile.modern_service_fields:
                why = "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24 "
                return [wrong("spec.LoadBalancerSourceRanges", "[" + " ".join(ranges) + "]", why)]
            why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            errors.append(wrong(f"spec.LoadBalancerSourceRanges[{i}]" if ranges else field, text, why))
    return errors


def _modern(spec: Document) -> list[Cause]:
    errors: list[Cause] = []
    balanced = spec.get("type") == "LoadBalancer"
    only = "may only be used when `type` is 'LoadBalancer'"
    if balanced and spec.get("allocateLoadBalancerNodePorts") is None:
        errors.append(required("spec.allocateLoadBalancerNodePorts"))
    if not balanced and spec.get("allocateLoadBalancerNodePorts") is not None:
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", only))
    chosen = spec.get("loadBalancerClass")
    if chosen is not None:
        if balanced:
            errors += [wrong("spec.loadBalancerClass", chosen, why) for why in names.qualified_name(chosen)]
        else:
            errors.append(forbidden("spec.loadBalancerClass", only))
    internal = spec.get("internalTrafficPolicy")
    if internal is None and spec.get("type") in ("ClusterIP", *EXPOSED):
        errors.append(required("spec.internalTrafficPolicy"))
    if internal is not None and internal not in ("Cluster", "Local"):
        errors.append(unsupported("spec.internalTrafficPolicy", internal, ["Cluster", "Local"]))
    return errors


def _traffic_policy(spec: Document, profile: Profile) -> list[Cause]:
    errors: list[Cause] = []
    policy = spec.get("externalTrafficPolicy")
    new = profile.modern_service_fields
    exposed = spec.get("type") in EXPOSED or (new and spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    at = "spec.externalTrafficPolicy"
    if not exposed:
        if policy:
            old = "ExternalTrafficPolicy can only be set on NodePort and LoadBalancer service"
            errors.append(wrong(at, policy, "may only be set for externally-accessible services" if new else old))
    elif not policy:
        errors.append(required(at))
    elif policy not in ("Cluster", "Local") and profile.modern_service_fields:
        errors.append(unsupported(at, policy, ["Cluster", "Local"]))
    elif policy not in ("Cluster", "Local"):
        errors.append(wrong(at, policy, "ExternalTrafficPolicy must be empty, Cluster or Local"))
    port = spec.get("healthCheckNodePort")
    if port and not needs_health_check(spec):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(wrong("spec.healthCheckNodePort", port, why))
    return errors
