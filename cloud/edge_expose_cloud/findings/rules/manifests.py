"""Rules of manifests, of `driver: manifest`, and of edgeAgent's Services. Pure data: (id, severity, what, hint)."""

from __future__ import annotations

from typing import Literal

Row = tuple[str, Literal["error", "warning", "info"], str, str]

ROWS: tuple[Row, ...] = (
    (
        "ManifestForm",
        "error",
        "The document is not a deployment manifest.",
        "It needs modulesContent (or content.modulesContent) with $edgeAgent.",
    ),
    (
        "ManifestLegacy",
        "warning",
        "moduleContent is the old name of modulesContent.",
        "Rename the key to modulesContent.",
    ),
    ("ManifestSchema", "error", "A manifest that `az iot edge` refuses.", "Fix the value at the path named."),
    ("ManifestAgentVersion", "error", "A schemaVersion that edgeAgent or edgeHub refuses.", 'Use "1.1".'),
    ("ManifestUnchecked", "info", "A section for which no schema is known.", "Use schemaVersion 1.0 or 1.1."),
    (
        "ManifestContentKey",
        "error",
        "A key that IoT Hub refuses inside a module's content.",
        "Use properties.desired or properties.desired.<path>.",
    ),
    (
        "ManifestLayerKey",
        "error",
        "A key that a layered deployment cannot carry.",
        "Layers may set modules, routes and module properties; no system modules.",
    ),
    (
        "ManifestLayerWide",
        "warning",
        "A key of a layered deployment that replaces more than one entry of the layers below it.",
        "Set single entries, such as properties.desired.runtime.settings.registryCredentials.NAME.",
    ),
    (
        "DriverManifestInexpressible",
        "error",
        "A wish that edgeAgent's Services cannot express.",
        "Use driver: module, or drop the field.",
    ),
    (
        "DriverManifestTarget",
        "error",
        "Fixed addresses with driver: manifest need one device.",
        "Use target.device; a deployment has one content for all devices.",
    ),
    ("DriverManifestModuleField", "error", "site and hand-written twins need driver: module.", "Use driver: module."),
    (
        "AgentCreateOptions",
        "error",
        "createOptions that edgeAgent refuses.",
        "Fix the createOptions; the module would not start.",
    ),
    (
        "AgentPortIgnored",
        "warning",
        "A port that edgeAgent ignores.",
        "Write PORT/tcp, PORT/udp or PORT/sctp with one number.",
    ),
    (
        "AgentPortLost",
        "warning",
        "A port that another one overwrites.",
        "A Service made by edgeAgent keeps one entry per port number, whatever the protocol.",
    ),
    (
        "AgentPortNameTwice",
        "error",
        "Two ports of one Service get the same name.",
        "Bind each container port to one HostPort; the API server refuses the Service and edgeAgent's pass fails.",
    ),
    (
        "AgentPortRange",
        "error",
        "A port number outside 1 to 65535.",
        "The API server refuses the Service and edgeAgent's pass fails.",
    ),
    (
        "AgentPassFails",
        "error",
        "Input on which edgeAgent's whole pass fails.",
        "Fix it: no module of the device would be updated.",
    ),
    (
        "AgentServiceName",
        "error",
        "A module name that cannot name a Service.",
        "Use lower-case letters, digits and hyphens, starting with a letter, at most 63.",
    ),
    (
        "AgentTypeUnknown",
        "warning",
        "A serviceOptions.type that edgeAgent does not know.",
        "Use ClusterIP, LoadBalancer or NodePort.",
    ),
    (
        "AgentTypeInvalid",
        "error",
        "A serviceOptions.type that the API server refuses.",
        "Use ClusterIP, LoadBalancer or NodePort.",
    ),
    (
        "AgentOptionIgnored",
        "warning",
        "A k8s-experimental key that edgeAgent ignores.",
        "Only type and loadBalancerIP exist under serviceOptions.",
    ),
    (
        "AgentOptionMisplaced",
        "warning",
        "A key at a place where edgeAgent does not look.",
        "ExposedPorts and k8s-experimental stand beside HostConfig.",
    ),
    (
        "AgentNoService",
        "warning",
        "serviceOptions without a usable port make no Service.",
        "Add HostConfig.PortBindings or ExposedPorts.",
    ),
    (
        "AgentAddressInvalid",
        "warning",
        "A loadBalancerIP that is not an address.",
        "edgeAgent copies it as it is; the load balancer will refuse it.",
    ),
    (
        "AgentAddressUnused",
        "info",
        "A loadBalancerIP on a Service that is no LoadBalancer.",
        "Set serviceOptions.type to LoadBalancer, or drop the address.",
    ),
    (
        "AgentAddressTwice",
        "error",
        "Two Services ask for one address without a sharing key.",
        "Give both the Docker Label metallb.universe.tf/allow-shared-ip.",
    ),
)
