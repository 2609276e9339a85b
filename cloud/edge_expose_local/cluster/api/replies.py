"""From a stored object to the answer a client asked for: its own kind, its metadata or a Table, as JSON or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...http.messages import Request, Response
from ..encoding import bodies
from ..encoding.media import PARTIAL, PARTIAL_LIST, TABLE, Media, Offer, for_errors, negotiate
from ..encoding.protobuf import MEDIA_TYPE as PROTOBUF
from ..encoding.protobuf import Codec
from ..kinds.errors import ApiError, Document
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from .tables import partial, table
from .watches import json_line


@dataclass(slots=True)
class Reply:
    """An answer before it is written."""

    document: Document
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pretty: bool = False


def served(resource: Resource, obj: Document) -> Document:
    """A stored object as its own kind."""
    shaped = resource.served(obj)
    head = {"kind": resource.kind, "apiVersion": resource.api_version}
    return {**head, **{k: v for k, v in shaped.items() if k not in head}}


def _go_name(resource: Resource, suffix: str = "") -> str:
    if resource.custom:
        return "*unstructured.Unstructured" + suffix
    return f"*{resource.group.partition('.')[0] or 'core'}.{resource.kind}{suffix}"


class Answers:
    """Writes the answers to one request, in the form that was agreed on."""

    def __init__(self, request: Request, offer: Offer, profile: Profile, codec: Codec) -> None:
        self._request = request
        self._codec = codec
        self._old = not profile.modern_service_fields
        self.media: Media = negotiate(request.headers.get("accept", ""), offer, profile)

    def write(self, reply: Reply) -> Response:
        """Write a reply."""
        return written(reply, self.media, self._codec, self._request)

    def object(self, resource: Resource, obj: Document, status: int = 200) -> Reply:
        """One object, turned into what was asked for."""
        match self.media.turned:
            case "Table":
                meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
                return Reply(table(resource, [obj], meta, self._request.arg("includeObject"), old=self._old), status)
            case "PartialObjectMetadata":
                return Reply(partial(obj), status)
            case "PartialObjectMetadataList":
                why = f"you requested {PARTIAL_LIST}, but the requested object is not a list ({_go_name(resource)})"
                raise ApiError(406, "NotAcceptable", why)
        return Reply(served(resource, obj), status)

    def list(self, resource: Resource, objects: list[Document], meta: Document) -> Reply:
        """Many objects, turned into what was asked for."""
        match self.media.turned:
            case "Table":
                return Reply(table(resource, objects, meta, self._request.arg("includeObject"), old=self._old))
            case "PartialObjectMetadataList":
                head = {"kind": PARTIAL_LIST, "apiVersion": "meta.k8s.io/v1"}
                return Reply({**head, "metadata": meta, "items": [partial(o) for o in objects]})
            case "PartialObjectMetadata":
                name = _go_name(resource, "List")
                raise ApiError(
                    406, "NotAcceptable", f"you requested {PARTIAL}, but the requested object is a list ({name})"
                )
        items = [served(resource, o) for o in objects]
        if not resource.custom:
            items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in items]
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        return Reply({**head, "metadata": meta, "items": items})

    def shape(self, resource: Resource) -> Callable[[Document], Document]:
        """How the objects of a watch are shown."""
        if self.media.turned in (PARTIAL, PARTIAL_LIST):
            return partial
        if self.media.turned != TABLE:
            return lambda obj: served(resource, obj)
        include, old = self._request.arg("includeObject"), self._old

        def as_table(obj: Document) -> Document:
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            return table(resource, [obj], meta, include, old=old)

        return as_table

    def watched_kind(self, resource: Resource) -> tuple[str, str]:
        """apiVersion and kind of the objects of a watch."""
        if self.media.turned in (PARTIAL, PARTIAL_LIST):
            return "meta.k8s.io/v1", PARTIAL
        return resource.api_version, resource.kind

    @property
    def frame(self) -> Callable[[str, Document], bytes]:
        """How one event of a watch is written."""
        return self._codec.frame if self.media.type == PROTOBUF else json_line

    @property
    def stream_type(self) -> str:
        """Content type of a watch."""
        return f"{PROTOBUF};stream=watch" if self.media.type == PROTOBUF else self.media.type


def _for_people(request: Request) -> bool:
    """Whether JSON is to be readable: as the query says, else for those whose answers people look at."""
    if asked := request.arg("pretty"):
        return asked in ("1", "t", "T", "true", "True", "TRUE")
    return request.headers.get("user-agent", "").startswith(("curl", "Wget", "Mozilla/5.0"))


def written(reply: Reply, media: Media, codec: Codec, request: Request) -> Response:
    """Write a reply in a form."""
    pretty = media.pretty or reply.pretty or _for_people(request)
    body, kind = bodies.write(reply.document, Media(media.type, media.turned, pretty), codec)
    return Response(reply.status, body, {"Content-Type": kind, **reply.headers})


def refused(error: ApiError, codec: Codec, request: Request) -> Response:
    """Write a refusal, in the form the client reads."""
    reply = Reply(error.status(), error.code)
    if error.details and "retryAfterSeconds" in error.details:
        reply.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return written(reply, for_errors(request.headers.get("accept", "")), codec, request)
