"""What no address can cure: fields the cluster does not know, names taken, pods out of reach. Pure."""

from __future__ import annotations

from edge_expose_contract.models import Exposure
from edge_expose_contract.services import selector_of, service_shapes
from edge_expose_module.blocks import Block
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.services.names import why_name_taken


def why_blocked(name: str, exposure: Exposure, inputs: PassInputs, default_namespace: str) -> Block | None:
    """Why an exposure cannot be granted, whatever its address; None where nothing stands in its way."""
    observed = inputs.observed
    can = observed.capabilities
    if exposure.load_balancer_class is not None and not can.load_balancer_class:
        return _unsupported("loadBalancerClass", "1.22", can.version)
    if (exposure.ip_family_policy or exposure.ip_families or len(exposure.addresses) > 1) and not can.dual_stack:
        return _unsupported("ipFamilies and dual stack", "1.21", can.version)
    if (exposure.namespace or default_namespace) in observed.unreadable:
        return Block.of(
            "RBACDenied",
            f"Services of namespace {exposure.namespace or default_namespace} may not be read by this module; apply "
            "its Role and RoleBinding there, or choose another namespace",
            verb="list",
            resource="services",
            namespace=exposure.namespace or default_namespace,
        )
    for shape in service_shapes(name, exposure, default_namespace):
        block = why_name_taken(shape.namespace, shape.name, exposure, inputs)
        if block is not None:
            return block
    namespace = exposure.namespace or default_namespace
    if exposure.module is not None and namespace != inputs.own_namespace:
        matching = observed.pods_matching(namespace, selector_of(exposure) or {})
        if not matching:
            return Block.of(
                "SelectorNamespace",
                f"module {exposure.module} runs in namespace {inputs.own_namespace}, and a Service in {namespace} "
                f"selects only pods of its own namespace; set namespace {inputs.own_namespace}, or use endpoints",
                module=exposure.module,
                runs_in=inputs.own_namespace,
                namespace=namespace,
            )
    return None


def _unsupported(what: str, since: str, version: str) -> Block:
    text = f"{what} needs Kubernetes {since}; this cluster is {version}; leave it out"
    return Block.of("UnsupportedByCluster", text, field=what, needs=since, version=version)
