"""Discovery documents, /version and OpenAPI v3."""

from __future__ import annotations

import hashlib

from ..kinds.errors import Document
from ..kinds.openapi import PREFIX, definitions
from ..kinds.profiles import Profile
from ..kinds.resources import Resource, reviews


def parameters(profile: Profile) -> tuple[str, ...]:
    """What every write takes in its query."""
    return ("dryRun", "fieldManager", *(("fieldValidation",) if profile.strict_fields else ()), "pretty")


def version(profile: Profile) -> Document:
    """Return /version."""
    return {
        "major": profile.major,
        "minor": profile.minor,
        "gitVersion": profile.git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "edge-expose local",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _groups(resources: list[Resource], profile: Profile) -> list[tuple[str, str]]:
    found = [(r.group, r.version) for r in resources if r.group] + [(group, "v1") for group, _ in reviews(profile)]
    return list(dict.fromkeys(found))


def group_list(resources: list[Resource], profile: Profile) -> Document:
    """Return /apis."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(g, v) for g, v in _groups(resources, profile)],
    }


def _group(group: str, served: str) -> Document:
    entry = {"groupVersion": f"{group}/{served}", "version": served}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def one_group(resources: list[Resource], profile: Profile, group: str) -> Document | None:
    """Return /apis/GROUP."""
    for name, served in _groups(resources, profile):
        if name == group:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, served)}
    return None


def resource_list(resources: list[Resource], profile: Profile, group: str, served: str) -> Document | None:
    """Return /api/v1 or /apis/GROUP/VERSION."""
    if (group, served) != ("", "v1") and (group, served) not in _groups(resources, profile):
        return None
    entries: list[Document] = []
    for r in resources:
        if (r.group, r.version) != (group, served):
            continue
        entry: Document = {
            "name": r.plural,
            "singularName": r.kind.lower(),
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": list(r.verbs),
        }
        if r.short:
            entry["shortNames"] = list(r.short)
        if r.category_all:
            entry["categories"] = ["all"]
        entry["storageVersionHash"] = hashlib.sha256(r.storage.encode()).hexdigest()[:11] + "="
        entries.append(entry)
        subresource = {"singularName": "", "namespaced": r.namespaced, "kind": r.kind}
        if r.status:
            entries.append({"name": f"{r.plural}/status", **subresource, "verbs": ["get", "patch", "update"]})
        if r.scale:
            scale = {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]}
            entries.append({"name": f"{r.plural}/scale", **subresource, **scale})
        if r.plural == "pods":
            forward = {"kind": "PodPortForwardOptions", "verbs": ["create", "get"]}
            entries.append({"name": "pods/portforward", **subresource, **forward})
            entries.append({"name": "pods/log", **subresource, "verbs": ["get"]})
        if r.plural == "serviceaccounts":
            token = {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}
            entries.append({"name": "serviceaccounts/token", **subresource, **token, "verbs": ["create"]})
    for (review_group, plural), kind in reviews(profile).items():
        if (review_group, "v1") == (group, served):
            entries.append({"name": plural, "singularName": "", "namespaced": False, "kind": kind, "verbs": ["create"]})
    name = f"{group}/{served}" if group else served
    return {"kind": "APIResourceList", "groupVersion": name, "resources": entries}


def openapi_index(resources: list[Resource], profile: Profile) -> Document:
    """Return /openapi/v3."""
    paths = {"api/v1": "/openapi/v3/api/v1?hash=1"}
    for group, served in _groups(resources, profile):
        paths[f"apis/{group}/{served}"] = f"/openapi/v3/apis/{group}/{served}?hash=1"
    return {"paths": {path: {"serverRelativeURL": url} for path, url in paths.items()}}


def openapi_document(resources: list[Resource], group: str, served: str, profile: Profile) -> Document:
    """Return the OpenAPI v3 document of one group version, with what kubectl looks for: kinds and fieldValidation."""
    schemas: Document = {}
    paths: Document = {}
    base = f"/apis/{group}/{served}" if group else f"/api/{served}"
    types = profile.types
    kinds = [r for r in resources if (r.group, r.version) == (group, served) and types.root(r.api_version, r.kind)]
    schemas.update(definitions([types.root(r.api_version, r.kind) for r in kinds], types, "#/components/schemas/"))
    for r in kinds:
        kind = {"group": r.group, "version": r.version, "kind": r.kind}
        name = PREFIX + types.root(r.api_version, r.kind)
        schemas[name]["x-kubernetes-group-version-kind"] = [kind]
        reference = {"schema": {"$ref": f"#/components/schemas/{name}"}}
        content = {"content": {"application/json": reference}}

        def operation(action: str, code: str, kind: Document = kind, content: Document = content) -> Document:
            text = {"type": "string", "uniqueItems": True}
            taken = [{"name": name, "in": "query", "schema": text} for name in parameters(profile)]
            return {
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind,
                "parameters": taken,
                "requestBody": content,
                "responses": {code: {"description": "OK", **content}},
            }

        many = f"{base}/namespaces/{{namespace}}/{r.plural}" if r.namespaced else f"{base}/{r.plural}"
        paths[many] = {"post": operation("post", "201")}
        paths[f"{many}/{{name}}"] = {"put": operation("put", "200"), "patch": operation("patch", "200")}
    info = {"title": "Kubernetes", "version": profile.git_version}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def openapi_v2(resources: list[Resource], profile: Profile) -> Document:
    """Return a Swagger 2.0 document with the kinds' schemas."""
    types = profile.types
    known = [r for r in resources if types.root(r.api_version, r.kind)]
    found = definitions([types.root(r.api_version, r.kind) for r in known], types, "#/definitions/")
    for r in known:
        kind = {"group": r.group, "version": r.version, "kind": r.kind}
        found[PREFIX + types.root(r.api_version, r.kind)]["x-kubernetes-group-version-kind"] = [kind]
    info = {"title": "Kubernetes", "version": profile.git_version}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": found}
