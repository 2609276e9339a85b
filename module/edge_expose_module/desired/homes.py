"""The namespaces of every exposure, from the document and from what the state file remembers. Pure."""

from __future__ import annotations

from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.cluster.homes import Homes
from edge_expose_module.state.memory import Memory


def homes_of(memory: Memory, document: DesiredDocument | None, own_namespace: str) -> Homes:
    """`own_namespace` is the one IoT Edge modules live in."""
    sites = (document.site if document is not None else None, memory.good_site())
    defaults = {own_namespace, *(site.namespace for site in sites if site is not None and site.namespace)}
    found = {name: set(namespaces) for name, namespaces in memory.homes.items()}

    def add(name: str, namespace: object) -> None:
        found.setdefault(name, set()).update({namespace} if isinstance(namespace, str) else defaults)

    for name, raw in memory.last_good.items():
        add(name, raw.get("namespace"))
    if document is not None:
        for name, exposure in document.exposures.items():
            add(name, exposure.namespace)
        for name in document.invalid.keys() - memory.last_good.keys():
            add(name, None)
    by_exposure = {name: frozenset(namespaces) for name, namespaces in found.items()}
    return Homes(frozenset(defaults), by_exposure, memory.knows_homes)
