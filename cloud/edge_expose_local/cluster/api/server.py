"""The Kubernetes API: a request becomes a verb on a resource, is checked against the rights, and is answered.

Stages of a request: faults, authentication, routing, impersonation, authorization, negotiation, the verb.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...http.messages import Request, Response
from ..access.impersonation import Impersonation, asked
from ..access.rbac import Attributes, Authorizer, User, refusal
from ..access.reviews import review
from ..access.tokens import Tokens
from ..encoding import bodies, openapi_v2
from ..encoding.media import JSON, Offer
from ..encoding.protobuf import Codec
from ..faults import Faults
from ..kinds.errors import (
    ApiError,
    Document,
    PlainError,
    bad_request,
    method_not_allowed,
    unknown_path,
)
from ..kinds.resources import Resource, reviews
from ..kinds.selectors import only_name
from ..objects.registry import Registry
from . import discovery
from .reads import Reads
from .replies import Answers, Reply, refused
from .routing import Route, Router
from .writes import Writes

PodAnswer = Callable[[str, str, Request], Awaitable[Response]]
_MOST_BODY = 3 * 1024 * 1024
_HEALTH = ("/healthz", "/livez", "/readyz")
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Api:
    """Answers every request to the secure port."""

    def __init__(
        self,
        registry: Registry,
        authorizer: Authorizer,
        tokens: Tokens,
        faults: Faults,
        logs: PodAnswer,
        port_forward: PodAnswer,
    ) -> None:
        self._registry = registry
        self._profile = registry.profile
        self._resources = list(registry.resources.values())
        self._router = Router(registry.resources, reviews(self._profile))
        self._impersonation = Impersonation(authorizer, self._profile)
        self._authorizer = authorizer
        self._tokens = tokens
        self._faults = faults
        self._logs = logs
        self._port_forward = port_forward
        self._codec = Codec(self._profile.types)
        self._reads = Reads(registry, faults)
        self._writes = Writes(registry, self._codec)

    async def handle(self, request: Request) -> Response:
        """Answer one request; every refusal is a Status object."""
        try:
            await self._faults.before_request()
            if len(request.body) > _MOST_BODY:
                message = f"Request entity too large: limit is {_MOST_BODY}"
                raise ApiError(413, "RequestEntityTooLarge", message)
            user = self._tokens.user(request.headers.get("authorization", ""))
            return await self._routed(request, user)
        except ApiError as error:
            return refused(error, self._codec, request)
        except PlainError as error:
            return Response(error.code, error.text.encode(), _TEXT)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            # A document of a shape no rule foresaw: the client's fault, and never a dropped connection.
            message = f"the object provided is unrecognized: {type(error).__name__}: {error}"
            return refused(bad_request(message), self._codec, request)

    async def _routed(self, request: Request, user: User) -> Response:
        found = self._router.route(request)
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
            answers = Answers(request, Offer(), self._profile, self._codec)
            body = self._body(request, kind)
            return answers.write(Reply(review(kind, found.group, body, user, self._authorizer, self._tokens), 201))
        if resource is None:
            raise unknown_path(f"{found.plural} of {found.group or 'the core group'}")
        try:
            response = await self._verb(request, found, resource)
        except ApiError as error:
            response = refused(error, self._codec, request)
        if resource.warning:
            told = f'299 - "{resource.warning}"'
            response.headers["Warning"] = ", ".join(filter(None, (told, response.headers.get("Warning", ""))))
        return response

    def _acting(self, request: Request, user: User, wish: Attributes) -> User:
        """Who the request goes on as: the user of the token, or the one whom its headers name."""
        wanted = asked(request.every_header, self._profile, request.plain_path)
        return user if wanted is None else self._impersonation.user(user, wanted, wish)

    def _body(self, request: Request, kind: str) -> Document:
        return bodies.read(request.body, request.headers.get("content-type", ""), self._codec, kind).document

    def _plain_path(self, request: Request, user: User) -> Response:
        path = request.plain_path
        wish = Attributes(request.method.lower(), path=path)
        user = self._acting(request, user, wish)
        if not self._authorizer.allowed(user, wish):
            raise refusal(user, wish)
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if path in _HEALTH and "verbose" in request.query:
            return Response(200, f"[+]ping ok\n{path[1:]} check passed\n".encode(), _TEXT)
        if path.removesuffix("/ping") in _HEALTH:
            return Response(200, b"ok", _TEXT)
        steps = [step for step in path.split("/") if step]
        if steps[:1] == ["openapi"]:
            if steps[1:] == ["v2"] and openapi_v2.MEDIA_TYPE in request.headers.get("accept", ""):
                patched = [resource for resource in self._resources if "patch" in resource.verbs]
                document = discovery.openapi_v2(self._resources, self._profile)
                body = openapi_v2.write(document, patched, discovery.parameters(self._profile))
                return Response(200, body, {"Content-Type": openapi_v2.CONTENT_TYPE})
            # what else there is of OpenAPI's own protobuf, the clients take as JSON as well
            return Answers(Request("GET", path, {}, {}, b""), Offer(), self._profile, self._codec).write(
                Reply(self._openapi(steps))
            )
        offer = Offer((JSON,)) if steps == ["version"] else Offer()
        reply = Reply(self._discovered(steps), pretty=steps in ([], ["version"]))
        return Answers(request, offer, self._profile, self._codec).write(reply)

    def _openapi(self, steps: list[str]) -> Document:
        answer: Document | None = None
        match steps[1:]:
            case ["v2"]:
                answer = discovery.openapi_v2(self._resources, self._profile)
            case _ if not self._profile.openapi_v3:
                pass
            case ["v3"]:
                answer = discovery.openapi_index(self._resources, self._profile)
            case ["v3", "api", served]:
                answer = discovery.openapi_document(self._resources, "", served, self._profile)
            case ["v3", "apis", group, served]:
                answer = discovery.openapi_document(self._resources, group, served, self._profile)
        if answer is None:
            raise unknown_path()
        return answer

    def _discovered(self, steps: list[str]) -> Document:
        answer: Document | None = None
        match steps:
            case []:
                documents = ["/openapi/v2", *(["/openapi/v3"] if self._profile.openapi_v3 else [])]
                answer = {"paths": ["/api", "/api/v1", "/apis", *_HEALTH, *documents, "/version"]}
            case ["version"]:
                answer = discovery.version(self._profile)
            case ["api"]:
                head = {"kind": "APIVersions", "apiVersion": "v1"}
                answer = {**head, "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["api", served]:
                answer = discovery.resource_list(self._resources, self._profile, "", served)
            case ["apis"]:
                answer = discovery.group_list(self._resources, self._profile)
            case ["apis", group]:
                answer = discovery.one_group(self._resources, self._profile, group)
            case ["apis", group, served]:
                answer = discovery.resource_list(self._resources, self._profile, group, served)
        if answer is None:
            raise unknown_path()
        return answer

    async def _verb(self, request: Request, found: Route, resource: Resource) -> Response:
        if found.subresource == "log" and resource.plural == "pods" and found.verb == "get":
            self._registry.get(resource, found.namespace, found.name)
            return await self._logs(found.namespace, found.name, request)
        if found.subresource == "portforward" and resource.plural == "pods" and found.verb in ("get", "create"):
            self._registry.get(resource, found.namespace, found.name)
            return await self._port_forward(found.namespace, found.name, request)
        watching, collection = found.verb == "watch", found.verb in ("list", "watch")
        offer = Offer(turns=True, collection=collection, watch=watching, protobuf=not resource.custom)
        answers = Answers(request, offer, self._profile, self._codec)
        if found.subresource == "token" and resource.plural == "serviceaccounts":
            answer = self._tokens.request(found.namespace, found.name, self._body(request, "TokenRequest"))
            return answers.write(Reply(answer, 201))
        if found.subresource == "scale" and resource.scale:
            return answers.write(self._writes.scale(request, found, resource))
        if found.subresource and not (found.subresource == "status" and resource.status):
            raise unknown_path(f"{found.plural}/{found.subresource}")
        if resource.empty and found.verb not in resource.verbs:
            raise method_not_allowed(f"{found.plural} are empty and read only")
        if found.verb not in resource.verbs and not (found.verb == "get"):
            raise method_not_allowed()
        if watching:
            return self._reads.watch(request, found, resource, answers)
        if found.verb in ("get", "list"):
            read = self._reads.get if found.verb == "get" else self._reads.list
            return answers.write(read(request, found, resource, answers))
        return answers.write(self._writes.answer(request, found, resource, answers))
