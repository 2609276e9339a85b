"""Defaults of a Service, and what a change of type wipes or carries over (pure functions on documents)."""

from __future__ import annotations

from ..kinds.errors import Document
from ..kinds.profiles import Profile
from .rules import EXPOSED, needs_health_check


def apply_defaults(spec: Document, profile: Profile) -> None:
    """Fill in what the API server defaults while decoding; changes `spec` in place."""
    spec.setdefault("type", "ClusterIP")
    spec["type"] = spec["type"] or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = ((spec.get("sessionAffinityConfig") or {}).get("clientIP")) or {}
        client.setdefault("timeoutSeconds", 10800)
        spec["sessionAffinityConfig"] = {"clientIP": client}
    for port in spec.get("ports") or []:
        port["protocol"] = port.get("protocol") or "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    exposed = spec["type"] in EXPOSED or (profile.modern_service_fields and spec.get("externalIPs"))
    if exposed and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if profile.modern_service_fields:
        if spec["type"] in ("ClusterIP", *EXPOSED) and spec.get("internalTrafficPolicy") is None:
            spec["internalTrafficPolicy"] = "Cluster"
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
            spec["allocateLoadBalancerNodePorts"] = True
    for field in ("selector", "ports", "clusterIPs", "externalIPs", "ipFamilies", "loadBalancerSourceRanges"):
        if field in spec and not spec[field]:
            del spec[field]
    for field in ("clusterIP", "externalName", "loadBalancerIP", "externalTrafficPolicy", "ipFamilyPolicy"):
        if field in spec and spec[field] == "":
            del spec[field]
    for field in ("healthCheckNodePort", "publishNotReadyAddresses"):
        if field in spec and not spec[field]:
            del spec[field]
    for port in spec.get("ports") or []:
        for field in ("nodePort", "name"):
            if field in port and not port[field]:
                del port[field]


def normalize_cluster_ips(new: Document, old: Document | None) -> None:
    """Keep clusterIP and clusterIPs in step: a user may state or clear either one."""
    one, many = new.get("clusterIP") or "", list(new.get("clusterIPs") or [])
    if old is None:
        if one and not many:
            new["clusterIPs"] = [one]
        return
    old_one, old_many = old.get("clusterIP") or "", list(old.get("clusterIPs") or [])
    if one != old_one:
        if not one and many == old_many:
            new.pop("clusterIPs", None)
        elif one and many == old_many:
            new["clusterIPs"] = [one]
    elif many != old_many and not many and old_many and one == old_one:
        new.pop("clusterIP", None)


def has_cluster_ip(spec: Document) -> bool:
    """Tell whether the type uses a cluster IP."""
    return spec.get("type") != "ExternalName"


def has_node_ports(spec: Document) -> bool:
    """Tell whether ports get node ports."""
    if spec.get("type") == "NodePort":
        return True
    return spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True) is not False


def _node_ports(spec: Document) -> list[int]:
    return [port.get("nodePort", 0) for port in spec.get("ports") or []]


def carry_over(new: Document, old: Document) -> None:
    """Copy allocated values that an update left out: cluster IPs, node ports by name, the health check port."""
    if has_cluster_ip(old) and has_cluster_ip(new):
        if not new.get("clusterIP") and old.get("clusterIP"):
            new["clusterIP"] = old["clusterIP"]
        if not new.get("clusterIPs") and new.get("clusterIP") == old.get("clusterIP") and old.get("clusterIPs"):
            new["clusterIPs"] = list(old["clusterIPs"])
    if has_node_ports(old) and has_node_ports(new):
        used = set(_node_ports(old)) & set(_node_ports(new)) - {0}
        by_name = {port.get("name", ""): port.get("nodePort", 0) for port in old.get("ports") or []}
        for port in new.get("ports") or []:
            known = by_name.get(port.get("name", ""), 0)
            if not port.get("nodePort") and known and known not in used:
                port["nodePort"] = known
                used.add(known)
    if (
        needs_health_check(old)
        and needs_health_check(new)
        and not new.get("healthCheckNodePort")
        and old.get("healthCheckNodePort")
    ):
        new["healthCheckNodePort"] = old["healthCheckNodePort"]


def drop_dependents(new: Document, old: Document) -> None:
    """Wipe what the new type cannot have, unless the user changed it in the same update."""

    def same(field: str) -> bool:
        return bool(new.get(field) == old.get(field))

    if has_cluster_ip(old) and not has_cluster_ip(new):
        if same("clusterIP") and same("clusterIPs"):
            new.pop("clusterIP", None)
            new.pop("clusterIPs", None)
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if same(field):
                new.pop(field, None)
    needs = EXPOSED
    if old.get("type") in needs and new.get("type") not in needs and _node_ports(new) == _node_ports(old):
        for port in new.get("ports") or []:
            port.pop("nodePort", None)
    if needs_health_check(old) and not needs_health_check(new) and same("healthCheckNodePort"):
        new.pop("healthCheckNodePort", None)
    for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
        if old.get("type") == "LoadBalancer" and new.get("type") != "LoadBalancer" and same(field):
            new.pop(field, None)
    if (
        old.get("type") in EXPOSED
        and new.get("type") not in EXPOSED
        and same("externalTrafficPolicy")
        and not new.get("externalIPs")
    ):
        new.pop("externalTrafficPolicy", None)
