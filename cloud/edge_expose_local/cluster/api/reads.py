"""The verbs that change nothing: get, list and watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ...http.messages import Request, Response
from ..faults import Faults
from ..kinds.errors import ApiError, bad_request
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from ..kinds.selectors import Predicate, field_predicate, label_predicate
from ..objects.registry import Registry
from .pages import cut, page_of, state_of
from .replies import Answers, Reply
from .routing import Route
from .watches import WatchWish, watch


def predicates(
    request: Request, found: Route, resource: Resource, profile: Profile
) -> tuple[Predicate | None, Predicate | None]:
    """What labels and fields have to be like."""
    fields = field_predicate(request.arg("fieldSelector"), resource.fields, own=resource.own_fields)
    if found.verb in ("list", "watch") and found.name:
        fields = field_predicate(f"metadata.name={found.name}", resource.fields, own=resource.own_fields)
    return label_predicate(request.arg("labelSelector"), paths=profile.refusals_name_paths), fields


class Reads:
    """Answers them from the store."""

    def __init__(self, registry: Registry, faults: Faults) -> None:
        self._registry = registry
        self._store = registry.store
        self._profile = registry.profile
        self._faults = faults

    def get(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        """One object."""
        return answers.object(resource, self._registry.get(resource, found.namespace, found.name))

    def list(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Reply:
        """The objects of one state."""
        labels, fields = predicates(request, found, resource, self._profile)
        page = page_of(request, self._store)
        namespace = found.namespace or None if resource.namespaced else None
        version, everything = state_of(page, self._store, resource.storage, namespace)
        objects = [o for o in everything if (labels is None or labels(o)) and (fields is None or fields(o))]
        objects, meta = cut(page, objects, version, selected=labels is not None or fields is not None)
        return answers.list(resource, objects, meta)

    def watch(self, request: Request, found: Route, resource: Resource, answers: Answers) -> Response:
        """The changes since a version, as they come."""
        labels, fields = predicates(request, found, resource, self._profile)
        initial = request.flag("sendInitialEvents")
        if request.arg("resourceVersionMatch") and (not initial or not self._profile.modern_service_fields):
            why = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch"
            details = {"group": "meta.k8s.io", "kind": "ListOptions"}
            raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {why}', details)
        version = request.arg("resourceVersion")
        if version and not version.isdigit():
            raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
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
            shape=answers.shape(resource),
            frame=answers.frame,
            bookmark_kind=answers.watched_kind(resource),
        )
        gone = self._faults.gone > 0
        if gone:
            self._faults.gone -= 1
        stream: AsyncGenerator[bytes, None] = watch(self._store, wish, forced_gone=gone)
        return Response(200, headers={"Content-Type": answers.stream_type}, stream=stream)
