"""The types of MetalLB's custom resources, in the notation of the tables; they have no protobuf, so no numbers."""

from __future__ import annotations

from collections.abc import Mapping

CUSTOM: Mapping[str, Mapping[str, str]] = {
    "metallb.IPAddressPool": {"metadata": "0 ObjectMeta", "spec": "0 metallb.PoolSpec", "status": "0 any"},
    "metallb.PoolSpec": {
        "addresses": "0 []string",
        "autoAssign": "0 *bool",
        "avoidBuggyIPs": "0 *bool",
        "serviceAllocation": "0 *metallb.ServiceAllocation",
    },
    "metallb.ServiceAllocation": {
        "priority": "0 *int32",
        "namespaces": "0 []string",
        "namespaceSelectors": "0 []any",
        "serviceSelectors": "0 []any",
    },
    "metallb.L2Advertisement": {"metadata": "0 ObjectMeta", "spec": "0 any", "status": "0 any"},
    "metallb.ConfigurationState": {"metadata": "0 ObjectMeta", "spec": "0 any", "status": "0 any"},
}
