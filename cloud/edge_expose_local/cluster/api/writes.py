"""The verbs that change something: create, update, patch, delete and deletecollection."""

from __future__ import annotations

import json

from ...http.messages import Request
from ..encoding import bodies
from ..encoding.bodies import Body
from ..encoding.protobuf import Codec
from ..kinds import go_json
from ..kinds.decode import decode
from ..kinds.errors import ApiError, Cause, Document, bad_request, conflict, invalid, method_not_allowed, not_found
from ..kinds.field_errors import many, unsupported
from ..kinds.pairs import Pairs
from ..kinds.resources import Resource
from ..objects import patches
from ..objects.ownership import APPLY, UPDATE, Manager
from ..objects.registry import Registry
from ..objects.strategic import StrategicMerge
from .reads import predicates
from .replies import Answers, Reply, served
from .routing import Route
from .scale import scale_of, scaled

_JSON_PATCH, _MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
_STRATEGIC_PATCH = "application/strategic-merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"


_OPTIONS = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


def _option(kind: str, cause: Cause) -> ApiError:
    """A refusal of the options of a request."""
    error = invalid("meta.k8s.io", kind, "", [cause])
    error.details = {"group": "meta.k8s.io", "kind": kind, "causes": (error.details or {})["causes"]}
    return error


class Writes:
    """Does them through the registry."""

    def __init__(self, registry: Registry, codec: Codec) -> None:
        self._registry = registry
        self._store = registry.store
        self._profile = registry.profile
        self._codec = codec
        self._strategic = StrategicMerge(self._profile.types)

    def answer(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        """Do what the request asks for."""
        match found.verb:
            case "create":
                return self._create(request, found, resource, answers)
            case "update":
                return self._update(request, found, resource, answers)
            case "patch":
                return self._patch(request, found, resource, answers)
            case "delete":
                return self._delete(request, found, resource, answers)
            case "deletecollection":
                return self._delete_collection(request, found, resource, answers)
        raise method_not_allowed()

    def _body(self, request: Request, kind: str, *, optional: bool = False) -> Body:
        sent = request.headers.get("content-type", "")
        return bodies.read(request.body, sent, self._codec, kind, optional=optional)

    def _decoded(self, request: Request, resource: Resource, body: Body) -> tuple[Document, dict[str, str]]:
        document = body.document
        kind, api_version = document.get("kind"), document.get("apiVersion")
        if (kind and kind != resource.kind) or (api_version and api_version != resource.api_version):
            message = (
                f'{kind} in version "{str(api_version).rsplit("/", 1)[-1]}" cannot be handled as a {resource.kind}: '
                f"converting ({api_version}.{kind}) to ({resource.api_version}.{resource.kind}): unknown conversion"
            )
            raise bad_request(message)
        mode = request.arg("fieldValidation", "Warn") if self._profile.strict_fields else "Ignore"
        types = self._profile.types
        decoded, warnings = decode(resource.kind, resource.api_version, document, types, mode, body.problems)
        texts = [json.dumps(warning.replace("\n", " ")) for warning in warnings]
        headers = {"Warning": ", ".join(f"299 - {text}" for text in texts)} if texts else {}
        return resource.stored(decoded), headers

    def _dry(self, request: Request, found: Route, options: Document | None = None) -> bool:
        """Whether nothing is to be kept, as the query says or the options in the body of a deletion; raises 422."""
        wanted = [*request.query.get("dryRun", []), *((options or {}).get("dryRun") or [])]
        wanted = [value for value in wanted if value]
        if set(wanted) <= {"All"}:
            return bool(wanted)
        raise _option(
            _OPTIONS.get(found.verb, "PatchOptions"), unsupported("dryRun", many(wanted, self._profile), ["All"])
        )

    def _create(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        document, headers = self._decoded(request, resource, self._body(request, resource.kind))
        if document.get("metadata") is None:
            document["metadata"] = {}
        manager = self._manager(request, found)
        created = self._registry.create(
            resource, found.namespace, document, dry_run=self._dry(request, found), manager=manager
        )
        reply = answers.object(resource, created, 201)
        reply.headers.update(headers)
        return reply

    def _update(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        document, headers = self._decoded(request, resource, self._body(request, resource.kind))
        if document.get("metadata") is None:
            document["metadata"] = {}
        reply = self._written(request, found, resource, answers, document, self._manager(request, found))
        reply.headers.update(headers)
        return reply

    def _written(
        self, request: Request, found: Route, resource: Resource, answers: Answers, document: Document, manager: Manager
    ) -> Reply:
        """How every change of an object ends."""
        updated, created = self._registry.update(
            resource,
            found.namespace,
            found.name,
            document,
            subresource=found.subresource,
            dry_run=self._dry(request, found),
            manager=manager,
        )
        return answers.object(resource, updated, 201 if created else 200)

    def _patch(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        accepted = [_JSON_PATCH, _MERGE_PATCH] + ([] if resource.custom else [_STRATEGIC_PATCH]) + [_APPLY_PATCH]
        if kind not in accepted:
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        manager = self._manager(request, found, APPLY if kind == _APPLY_PATCH else UPDATE)
        if kind == _APPLY_PATCH:
            return self._apply(request, found, resource, answers, manager)
        if request.arg("force"):
            why = "may not be specified for non-apply patch"
            raise _option("PatchOptions", Cause("FieldValueForbidden", f"Forbidden: {why}", "force"))
        current = served(resource, self._registry.get(resource, found.namespace, found.name))
        document, headers = self._decoded_patch(request, resource, self._patched(request, resource, kind, current))
        if not isinstance(document.get("metadata"), dict):
            raise bad_request("metadata is missing after the patch")
        reply = self._written(request, found, resource, answers, document, manager)
        reply.headers.update(headers)
        return reply

    def _apply(self, request: Request, found: Route, resource: Resource, answers: Answers, manager: Manager) -> Reply:
        config = self._configuration(request, found, resource)
        meta = config["metadata"]
        ownership = self._registry.ownership
        shown = f"{meta.get('namespace', '')}/{found.name}".removeprefix("/")
        fields = ownership.configuration(config, resource, manager, shown)
        types = self._profile.types
        config, _ = decode(resource.kind, resource.api_version, config, types, "Ignore")
        kept = self._store.get(resource.storage, found.namespace if resource.namespaced else "", found.name)
        live = None if kept is None else served(resource, kept)
        if live is None:
            if found.subresource:
                raise not_found(resource.group, resource.plural, found.name)
            if meta.get("uid"):
                why = f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
                raise conflict(resource.group, resource.plural, found.name, why)
            if self._profile.strict_fields:
                config["metadata"].pop("resourceVersion", None)
        result = ownership.applied(live, config, fields, resource, manager, force=request.flag("force"))
        document = resource.stored(result)
        if live is not None:
            return self._written(request, found, resource, answers, document, manager)
        created = self._registry.create(
            resource, found.namespace, document, dry_run=self._dry(request, found), manager=manager
        )
        return answers.object(resource, created, 201)

    def _configuration(self, request: Request, found: Route, resource: Resource) -> Document:
        """The document that is applied; raises 400 for what is none of this kind and name."""
        config = bodies.read_applied(request.body)
        kind, api_version = config.get("kind") or "", config.get("apiVersion") or ""
        if api_version != resource.api_version and not self._profile.owners_by_subresource:
            head = "Incorrect version specified in apply patch."
            raise bad_request(f"{head} Specified patch version: {api_version}, expected: {resource.api_version}")
        if (kind, api_version) != (resource.kind, resource.api_version):
            group, _, version = api_version.rpartition("/")
            raise bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
        meta = config.setdefault("metadata", {})
        if meta.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        if meta.setdefault("name", found.name) != found.name:
            why = f"the name of the object ({meta['name']}) does not match the name on the URL ({found.name})"
            raise bad_request(why)
        return config

    def _manager(self, request: Request, found: Route, operation: str = UPDATE) -> Manager:
        """Who writes: the field manager that is named, or the program that asks."""
        options = _OPTIONS.get(found.verb, "PatchOptions")
        name = request.arg("fieldManager")
        if len(name.encode()) > 128:
            limit = "may not be more than 128 bytes" if self._profile.strict_fields else "must have at most 128 bytes"
            raise _option(options, Cause("FieldValueTooLong", f"Too long: {limit}", "fieldManager"))
        if not name and operation == APPLY:
            why = "Required value: is required for apply patch"
            raise _option(options, Cause("FieldValueRequired", why, "fieldManager"))
        program = request.headers.get("user-agent", "").partition("/")[0][:128]
        return Manager(name or program or "unknown", operation, found.subresource)

    def _patched(self, request: Request, resource: Resource, kind: str, current: Document) -> Body:
        try:
            patch = json.loads(request.body, object_pairs_hook=Pairs.read)
        except ValueError as error:
            raise self._undecoded(kind, go_json.problem(request.body) or str(error)) from None
        if not isinstance(patch, list if kind == _JSON_PATCH else dict):
            operations = "[]handlers.jsonPatchOp" if self._profile.strict_fields else "jsonpatch.Patch"
            wanted = operations if kind == _JSON_PATCH else "map[string]interface {}"
            why = f"json: cannot unmarshal {go_json.kind_of(patch)} into Go value of type {wanted}"
            raise self._undecoded(kind, why)
        if isinstance(patch, list):
            return Body(patches.json_patch(current, patch))
        problems = tuple(f'duplicate field "{path}"' for path in Pairs.doubled(patch))
        patch = Pairs.plain(patch)
        if kind == _MERGE_PATCH:
            return Body(patches.json_merge(current, patch), problems)
        name = self._profile.types.root(resource.api_version, resource.kind)
        patch = {**patch, **{key: current[key] for key in ("apiVersion", "kind") if key in patch}}
        return Body(self._strategic.merge(current, patch, name), problems)

    def _undecoded(self, kind: str, why: str) -> ApiError:
        """A patch that cannot be read, in the words of each version."""
        if not self._profile.strict_fields:
            why = why.replace("unexpected end of JSON input", "unexpected EOF")
            return ApiError(500, "", "Invalid JSON Patch") if kind == _MERGE_PATCH else bad_request(why)
        return bad_request(why if kind == _STRATEGIC_PATCH else f"error decoding patch: {why}")

    def _decoded_patch(self, request: Request, resource: Resource, result: Body) -> tuple[Document, dict[str, str]]:
        try:
            return self._decoded(request, resource, result)
        except ApiError as error:
            _, _, why = error.message.partition(f" cannot be handled as a {resource.kind}: ")
            shown = json.dumps(json.dumps(result.document, separators=(",", ":")))
            cause = Cause("FieldValueInvalid", f"Invalid value: {shown}: {why or error.message}", "patch")
            raise invalid("", "", "", [cause]) from None

    def scale(self, request: Request, found: Route, resource: Resource) -> Reply:
        """Answer for the scale of a workload."""
        obj = self._registry.get(resource, found.namespace, found.name)
        match found.verb:
            case "get":
                return Reply(scale_of(obj))
            case "update":
                wanted = self._body(request, "Scale").document
            case "patch":
                kind = request.headers.get("content-type", "").split(";")[0].strip()
                if kind not in (_JSON_PATCH, _MERGE_PATCH, _STRATEGIC_PATCH):
                    raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
                wanted = self._patched(request, resource, kind, scale_of(obj)).document
            case _:
                raise method_not_allowed()
        manager = self._manager(request, found)
        dry = self._dry(request, found)
        changed = scaled(obj, wanted)
        updated, _ = self._registry.update(resource, found.namespace, found.name, changed, dry_run=dry, manager=manager)
        return Reply(scale_of(updated))

    def _delete(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        options = self._body(request, "DeleteOptions", optional=True).document
        if request.arg("gracePeriodSeconds").isdigit():
            options["gracePeriodSeconds"] = int(request.arg("gracePeriodSeconds"))
        dry = self._dry(request, found, options)
        answer = self._registry.delete(resource, found.namespace, found.name, options, dry_run=dry)
        return Reply(answer) if answer.get("kind") == "Status" else answers.object(resource, answer)

    def _delete_collection(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        labels, fields = predicates(request, found, resource, self._profile)
        options = self._body(request, "DeleteOptions", optional=True).document
        dry = self._dry(request, found, options)
        namespace = (found.namespace or None) if resource.namespaced else None
        deleted: list[Document] = []
        for obj in self._store.all(resource.storage, namespace):
            if (labels is None or labels(obj)) and (fields is None or fields(obj)):
                meta = obj["metadata"]
                name = meta["name"]
                self._registry.delete(resource, meta.get("namespace", ""), name, options, dry_run=dry)
                deleted.append(obj)
        return answers.list(resource, deleted, {"resourceVersion": str(self._store.version)})
