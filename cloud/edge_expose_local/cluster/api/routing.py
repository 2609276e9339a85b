"""From a request's path and method to a verb on a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...http.messages import Request
from ..kinds.errors import method_not_allowed, unknown_path
from ..kinds.resources import Resource


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for. `resource` is None for reviews and for plurals that are not served."""

    verb: str
    group: str
    plural: str
    namespace: str
    name: str
    subresource: str
    resource: Resource | None
    review: str | None = None


def _verb(request: Request, *, named: bool, watching: bool) -> str:
    match request.method:
        case "GET" | "HEAD":
            if watching:
                return "watch"
            return "get" if named else "list"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "DELETE":
            return "delete" if named else "deletecollection"
    raise method_not_allowed()


class Router:
    """Knows the paths of what is served."""

    def __init__(self, resources: Mapping[tuple[str, str], Resource], reviews: Mapping[tuple[str, str], str]) -> None:
        self._resources = resources
        self._reviews = reviews
        self._served = {(r.group, r.version) for r in resources.values()} | {(known, "v1") for known, _ in reviews}

    def route(self, request: Request) -> Route | None:
        """Return the route of a resource path, None for other paths; raises 404 for unknown versions."""
        steps = [step for step in request.plain_path.split("/") if step]
        if len(steps) >= 3 and steps[0] == "api":
            group, version, rest = "", steps[1], steps[2:]
        elif len(steps) >= 4 and steps[0] == "apis":
            group, version, rest = steps[1], steps[2], steps[3:]
        else:
            return None
        watching = request.flag("watch")
        if rest[0] == "watch" and len(rest) > 1:
            watching, rest = True, rest[1:]
        namespace = ""
        if rest[0] == "namespaces" and group == "" and len(rest) == 2:
            namespace = rest[1]
        elif rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in ("status", "finalize")):
            namespace, rest = rest[1], rest[2:]
        elif rest[0] == "namespaces" and len(rest) == 3:
            namespace = rest[1]
        plural = rest[0]
        name = rest[1] if len(rest) > 1 else ""
        subresource = "/".join(rest[2:])
        resource = self._resources.get((group, plural))
        kind = self._reviews.get((group, plural))
        if (group, version) not in self._served or (kind is not None and version != "v1"):
            raise unknown_path(f"{group}/{version}" if group else version)
        if resource is not None and resource.version != version:
            raise unknown_path(f"{plural} of {group}/{version}")
        verb = _verb(request, named=bool(name), watching=watching)
        return Route(verb, group, plural, namespace, name, subresource, resource, kind)
