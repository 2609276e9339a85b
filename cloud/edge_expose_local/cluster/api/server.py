"""The Kubernetes API: a request becomes a verb on a resource, is checked against the rights, and is answered.

Stages of a request: faults, authentication, routing, impersonation, authorization, the verb.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import yaml

from ..access.impersonation import Impersonation, asked
from ..access.rbac import Attributes, Authorizer, User, refusal
from ..access.reviews import review
from ..access.tokens import Tokens
from ..encoding import protobuf
from ..faults import Faults
from ..http.server import Request, Response, json_response
from ..kinds.errors import ApiError, Document, PlainError, bad_request, method_not_allowed, not_found, unknown_path
from ..kinds.resources import Resource, reviews
from ..kinds.schema import decode
from ..kinds.selectors import field_predicate, label_predicate, only_name
from ..objects import patches
from ..objects.registry import Registry
from . import discovery
from .pages import cut, page_of, state_of
from .routing import Route, route
from .tables import partial, table, wants_table
from .watches import WatchWish, watch

Logs = Callable[[str, str, Request], Awaitable[Response]]


class Api:
    """Answers every request to the secure port."""

    def __init__(self, registry: Registry, authorizer: Authorizer, tokens: Tokens, faults: Faults, logs: Logs) -> None:
        self._registry = registry
        self._store = registry.store
        self._profile = registry.profile
        self._resources = list(registry.resources.values())
        self._reviews = reviews(self._profile)
        self._impersonation = Impersonation(authorizer, self._profile)
        self._authorizer = authorizer
        self._tokens = tokens
        self._faults = faults
        self._logs = logs

    async def handle(self, request: Request) -> Response:
        """Answer one request; every refusal is a Status object."""
        try:
            await self._faults.before_request()
            user = self._tokens.user(request.headers.get("authorization", ""))
            return await self._routed(request, user)
        except ApiError as error:
            response = json_response(error.status(), error.code)
            if error.details and "retryAfterSeconds" in error.details:
                response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
            return response
        except PlainError as error:
            return Response(error.code, error.text.encode(), "text/plain; charset=utf-8")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # A document of a shape no rule foresaw: the client's fault, and never a dropped connection.
            message = f"the object provided is unrecognized: {type(error).__name__}: {error}"
            return json_response(bad_request(message).status(), 400)

    async def _routed(self, request: Request, user: User) -> Response:
        found = route(request, self._registry.resources, self._reviews)
        if found is None:
            return self._plain_path(request, user)
        resource, kind = found.resource, found.review
        plural = found.plural + (f"/{found.subresource}" if found.subresource else "")
        name = found.name or only_name(request.arg("fieldSelector"))
        wish = Attributes(found.verb, found.group, plural, found.namespace, name)
        user = self._acting(request, user, wish)
        if not self._authorizer.allowed(user, wish):
            raise refusal(user, wish)
        if kind is not None:
            if found.verb != "create":
                raise method_not_allowed()
            answer = review(kind, found.group, self._body(request), user, self._authorizer, self._tokens)
            return json_response(answer, 201)
        if resource is None:
            raise unknown_path()
        return await self._verb(request, found, resource)

    def _acting(self, request: Request, user: User, wish: Attributes) -> User:
        """Who the request goes on as: the user of the token, or the one whom its headers name."""
        wanted = asked(request.every_header, self._profile, request.path)
        return user if wanted is None else self._impersonation.user(user, wanted, wish)

    def _plain_path(self, request: Request, user: User) -> Response:
        path = request.path
        wish = Attributes(request.method.lower(), path=path)
        user = self._acting(request, user, wish)
        if not self._authorizer.allowed(user, wish):
            raise refusal(user, wish)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if path in ("/healthz", "/livez", "/readyz"):
            return Response(body=b"ok", content_type="text/plain; charset=utf-8")
        steps = [step for step in path.split("/") if step]
        answer: Document | None = None
        match steps:
            case []:
                answer = {
                    "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
                }
            case ["version"]:
                answer = discovery.version(self._profile)
            case ["api"]:
                answer = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["api", served]:
                answer = discovery.resource_list(self._resources, self._profile, "", served)
            case ["apis"]:
                answer = discovery.group_list(self._resources, self._profile)
            case ["apis", group]:
                answer = discovery.one_group(self._resources, self._profile, group)
            case ["apis", group, served]:
                answer = discovery.resource_list(self._resources, self._profile, group, served)
            case ["openapi", "v2"]:
                answer = discovery.openapi_v2(self._resources, self._profile)
            case ["openapi", "v3"]:
                answer = discovery.openapi_index(self._resources, self._profile)
            case ["openapi", "v3", "api", served]:
                answer = discovery.openapi_document(self._resources, "", served, self._profile)
            case ["openapi", "v3", "apis", group, served]:
                answer = discovery.openapi_document(self._resources, group, served, self._profile)
        if answer is None:
            raise unknown_path()
        return json_response(answer)

    async def _verb(self, request: Request, found: Route, resource: Resource) -> Response:
        if found.subresource == "log" and resource.plural == "pods" and found.verb == "get":
            self._registry.get(resource, found.namespace, found.name)
            return await self._logs(found.namespace, found.name, request)
        if found.subresource == "token" and resource.plural == "serviceaccounts":
            return json_response(self._tokens.request(found.namespace, found.name, self._body(request)), 201)
        if found.subresource and not (found.subresource == "status" and resource.status):
            raise unknown_path()
        if found.verb not in resource.verbs and not (found.verb == "get"):
            raise method_not_allowed()
        match found.verb:
            case "get":
                return self._object(request, resource, self._registry.get(resource, found.namespace, found.name))
            case "list":
                return self._list(request, found, resource)
            case "watch":
                return self._watch(request, found, resource)
            case "create":
                return self._create(request, found, resource)
            case "update":
                return self._update(request, found, resource)
            case "patch":
                return self._patch(request, found, resource)
            case "delete":
                options = self._body(request, optional=True)
                if request.arg("gracePeriodSeconds").isdigit():
                    options["gracePeriodSeconds"] = int(request.arg("gracePeriodSeconds"))
                dry = self._dry(request) or bool(options.get("dryRun"))
                answer = self._registry.delete(resource, found.namespace, found.name, options, dry_run=dry)
                if answer.get("kind") == "Status":
                    return json_response(answer)
                return self._object(request, resource, answer)
            case "deletecollection":
                return self._delete_collection(request, found, resource)
        raise method_not_allowed()

    # -- reading ------------------------------------------------------------------------------------

    def _served(self, resource: Resource, obj: Document) -> Document:
        shaped = resource.served(obj)
        head = {"kind": resource.kind, "apiVersion": resource.api_version}
        return {**head, **{k: v for k, v in shaped.items() if k not in head}}

    def _object(self, request: Request, resource: Resource, obj: Document, status: int = 200) -> Response:
        accept = request.headers.get("accept", "")
        if wants_table(accept):
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return json_response(table(resource, [obj], meta, request.arg("includeObject")), status)
        if "as=PartialObjectMetadata" in accept.split(",")[0]:
            return json_response(partial(obj), status)
        return json_response(self._served(resource, obj), status)

    def _predicates(self, request: Request, found: Route, resource: Resource) -> tuple[Any, Any]:
        fields = field_predicate(request.arg("fieldSelector"), resource.fields, resource.kind)
        if found.verb in ("list", "watch") and found.name:
            by_name = field_predicate(f"metadata.name={found.name}", resource.fields, resource.kind)
            fields = by_name
        return label_predicate(request.arg("labelSelector")), fields

    def _list(self, request: Request, found: Route, resource: Resource) -> Response:
        labels, fields = self._predicates(request, found, resource)
        page = page_of(request, self._store)
        namespace = found.namespace or None if resource.namespaced else None
        version, everything = state_of(page, self._store, resource.storage, namespace)
        objects = [o for o in everything if (labels is None or labels(o)) and (fields is None or fields(o))]
        objects, meta = cut(page, objects, version, selected=labels is not None or fields is not None)
        accept = request.headers.get("accept", "")
        if wants_table(accept):
            return json_response(table(resource, objects, meta, request.arg("includeObject")))
        if "as=PartialObjectMetadataList" in accept.split(",")[0]:
            items = [partial(o) for o in objects]
            return json_response(
                {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items}
            )
        items = [self._served(resource, o) for o in objects]
        if not resource.custom:
            items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in items]
        listed = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}
        return json_response(listed)

    def _watch(self, request: Request, found: Route, resource: Resource) -> Response:
        labels, fields = self._predicates(request, found, resource)
        initial = request.flag("sendInitialEvents")
        if request.arg("resourceVersionMatch") and (not initial or not self._profile.modern_service_fields):
            why = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch"
            details = {"group": "meta.k8s.io", "kind": "ListOptions"}
            raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {why}', details)
        version = request.arg("resourceVersion")
        if version and not version.isdigit():
            raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
        as_table = wants_table(request.headers.get("accept", ""))
        include = request.arg("includeObject")

        def shape(obj: Document) -> Document:
            if as_table:
                meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
                return table(resource, [obj], meta, include)
            return self._served(resource, obj)

        seconds = request.arg("timeoutSeconds")
        wish = WatchWish(
            storage=resource.storage,
            namespace=(found.namespace or None) if resource.namespaced else None,
            version=int(version or 0),
            timeout=float(seconds) if seconds.isdigit() else 0.0,
            bookmarks=request.flag("allowWatchBookmarks"),
            initial_events=initial and self._profile.modern_service_fields,
            labels=labels,
            fields=fields,
            shape=shape,
            bookmark_kind=(resource.api_version, resource.kind),
        )
        gone = self._faults.gone > 0
        if gone:
            self._faults.gone -= 1
        stream: AsyncGenerator[bytes, None] = watch(self._store, wish, forced_gone=gone)
        return Response(200, stream=stream)

    # -- writing ------------------------------------------------------------------------------------

    @staticmethod
    def _dry(request: Request) -> bool:
        value = request.arg("dryRun")
        if value not in ("", "All"):
            message = (
                f'Invalid value: []string{{"{value}"}}: dryRun: Unsupported value: "{value}": supported values: "All"'
            )
            raise ApiError(422, "Invalid", message, {})
        return value == "All"

    @staticmethod
    def _body(request: Request, *, optional: bool = False) -> Document:
        if not request.body.strip():
            if optional:
                return {}
            raise bad_request("the request has no body")
        kind = request.headers.get("content-type", "application/json").split(";")[0].strip()
        try:
            if kind in ("application/yaml", "application/x-yaml"):
                document = yaml.safe_load(request.body)
            elif protobuf.is_protobuf(kind):
                document = protobuf.decode(request.body)
            else:
                document = json.loads(request.body)
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(document, dict):
            raise bad_request("the body of the request is no object")
        return document

    def _decoded(self, request: Request, resource: Resource, document: Document) -> tuple[Document, dict[str, str]]:
        kind, api_version = document.get("kind"), document.get("apiVersion")
        if (kind and kind != resource.kind) or (api_version and api_version != resource.api_version):
            message = (
                f'{kind} in version "{str(api_version).rsplit("/", 1)[-1]}" cannot be handled as a {resource.kind}: '
                f"converting ({api_version}.{kind}) to ({resource.api_version}.{resource.kind}): unknown conversion"
            )
            raise bad_request(message)
        mode = request.arg("fieldValidation", "Warn" if self._profile.modern_service_fields else "Ignore")
        decoded, warnings = decode(resource.kind, resource.api_version, document, self._profile, mode)
        headers = {"Warning": ", ".join("299 - " + json.dumps(w) for w in warnings)} if warnings else {}
        return resource.stored(decoded), headers

    def _create(self, request: Request, found: Route, resource: Resource) -> Response:
        document, headers = self._decoded(request, resource, self._body(request))
        if document.get("metadata") is None:
            document["metadata"] = {}
        created = self._registry.create(resource, found.namespace, document, dry_run=self._dry(request))
        response = self._object(request, resource, created, 201)
        response.headers.update(headers)
        return response

    def _update(self, request: Request, found: Route, resource: Resource) -> Response:
        document, headers = self._decoded(request, resource, self._body(request))
        if document.get("metadata") is None:
            document["metadata"] = {}
        updated, created = self._registry.update(
            resource, found.namespace, found.name, document, subresource=found.subresource, dry_run=self._dry(request)
        )
        response = self._object(request, resource, updated, 201 if created else 200)
        response.headers.update(headers)
        return response

    def _patch(self, request: Request, found: Route, resource: Resource) -> Response:
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        accepted = ["application/json-patch+json", "application/merge-patch+json"]
        accepted += [] if resource.custom else ["application/strategic-merge-patch+json"]
        if kind not in accepted:
            why = "server-side apply is not implemented by this stand-in; " if "apply-patch" in kind else ""
            message = f"{why}the body of the request was in an unknown format - accepted media types include: "
            message += ", ".join(accepted)
            raise ApiError(415, "UnsupportedMediaType", message, {})
        current = self._served(resource, self._registry.get(resource, found.namespace, found.name))
        try:
            patch = json.loads(request.body)
        except ValueError as error:
            raise bad_request(f"error decoding patch: {error}") from None
        if kind == accepted[0]:
            result = patches.json_patch(current, patch)
        elif not isinstance(patch, dict):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
            )
        elif kind == accepted[1]:
            result = patches.json_merge(current, patch)
        else:
            result = patches.strategic_merge(current, patch)
        document, headers = self._decoded(request, resource, result)
        if not isinstance(document.get("metadata"), dict):
            raise bad_request("metadata is missing after the patch")
        updated, _ = self._registry.update(
            resource, found.namespace, found.name, document, subresource=found.subresource, dry_run=self._dry(request)
        )
        response = self._object(request, resource, updated)
        response.headers.update(headers)
        return response

    def _delete_collection(self, request: Request, found: Route, resource: Resource) -> Response:
        labels, fields = self._predicates(request, found, resource)
        options = self._body(request, optional=True)
        namespace = (found.namespace or None) if resource.namespaced else None
        deleted: list[Document] = []
        for obj in self._store.all(resource.storage, namespace):
            if (labels is None or labels(obj)) and (fields is None or fields(obj)):
                meta = obj["metadata"]
                self._registry.delete(
                    resource, meta.get("namespace", ""), meta["name"], options, dry_run=self._dry(request)
                )
                deleted.append(self._served(resource, obj))
        meta = {"resourceVersion": str(self._store.version)}
        return json_response(
            {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": deleted}
        )


async def no_logs(namespace: str, name: str, request: Request) -> Response:
    """Answer pods/log where no kubelet runs."""
    await asyncio.sleep(0)
    raise not_found("", "pods/log", name)
