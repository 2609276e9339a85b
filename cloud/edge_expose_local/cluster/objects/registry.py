"""Creating, changing and deleting objects by the rules of the API server; used by the API and by controllers."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable

from ..kinds.errors import (
    STALE,
    ApiError,
    Cause,
    Document,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from ..kinds.field_errors import wrong
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from ..rules.validation import kind_errors, metadata_errors, metadata_update_errors
from ..services.allocation import ServiceAllocator
from ..services.rules import service_errors
from ..services.status_rules import status_errors
from ..store.store import Store
from . import prepare
from .ownership import APPLY, Manager, Ownership

_CREATE_ON_PUT = frozenset(
    {"endpoints", "events", "leases", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
)
FOREGROUND = "foregroundDeletion"
"""The finalizer of what waits until all that it owns is gone."""
_RETURNS_OBJECT = frozenset({"pods", "namespaces", "serviceaccounts"})


def _terminating(namespace: str, resource: Resource, name: str) -> ApiError:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(resource.group, resource.plural, name, why)
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    return error


_IMMORTAL = ("default", "kube-system", "kube-public")


class Registry:
    """All writes of typed objects. Functions do not wait, so each is atomic."""

    def __init__(self, store: Store, profile: Profile, resources: list[Resource], allocator: ServiceAllocator) -> None:
        self.store = store
        self.profile = profile
        self.resources = {(r.group, r.plural): r for r in resources}
        self._allocator = allocator
        self.ownership = Ownership(profile)
        self.graceful: Callable[[Document], bool] = lambda pod: bool((pod.get("spec") or {}).get("nodeName"))

    def resource(self, plural: str, group: str = "") -> Resource:
        """Return a served resource."""
        return self.resources[(group, plural)]

    def get(self, resource: Resource, namespace: str, name: str) -> Document:
        """Return a stored object; raises 404."""
        found = self.store.get(resource.storage, namespace if resource.namespaced else "", name)
        if found is None:
            raise not_found(resource.group, resource.plural, name)
        return found

    def create(
        self,
        resource: Resource,
        namespace: str,
        sent: Document,
        *,
        dry_run: bool = False,
        manager: Manager | None = None,
    ) -> Document:
        """Store a new object. `manager` owns its fields; controllers name none."""
        obj = copy.deepcopy(sent)
        meta = obj.setdefault("metadata", {})
        if meta.get("resourceVersion") not in (None, ""):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        self._check_namespace(resource, namespace, meta)
        generated = bool(meta.get("generateName")) and not meta.get("name")
        owners = meta.get("managedFields")
        prepare.new_metadata(meta, resource, namespace)
        prepare.defaults(obj, resource, self.profile)
        if manager is not None and manager.operation == APPLY:
            meta["managedFields"] = owners
        elif manager is not None:
            self.ownership.created(obj, resource, manager)
        prepare.on_create(obj, resource, self.profile)
        self._check(obj, None, resource)
        name = meta["name"]
        if self.store.get(resource.storage, meta.get("namespace", ""), name) is not None:
            error = already_exists(resource.group, resource.plural, name)
            if generated:
                error = ApiError(
                    500,
                    "ServerTimeout",
                    f"{error.message}, the server was not able to generate a unique name",
                    error.details,
                )
            raise error
        return obj if dry_run else self.store.put(resource.storage, obj)

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        sent: Document,
        *,
        subresource: str = "",
        dry_run: bool = False,
        manager: Manager | None = None,
    ) -> tuple[Document, bool]:
        """Replace an object (or its status); returns it and whether it was created."""
        obj = copy.deepcopy(sent)
        meta = obj.setdefault("metadata", {})
        if not meta.get("name"):
            raise bad_request(f"the name of the object () does not match the name on the URL ({name})")
        if meta["name"] != name:
            raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        if resource.namespaced and meta.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        old = self.store.get(resource.storage, namespace if resource.namespaced else "", name)
        if old is None:
            creates = resource.plural in _CREATE_ON_PUT or (resource.plural == "services" and self.profile.put_creates)
            if not creates or subresource:
                raise not_found(resource.group, resource.plural, name)
            if meta.get("resourceVersion") or meta.get("uid"):
                if meta.get("uid"):
                    why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
                    raise conflict(resource.group, resource.plural, name, why)
                raise not_found(resource.group, resource.plural, name)
            return self.create(resource, namespace, obj, dry_run=dry_run, manager=manager), True
        versioned = resource.plural == "services" and not subresource and not self.profile.put_creates
        if versioned and not meta.get("resourceVersion"):
            cause = wrong("metadata.resourceVersion", "", "must be specified for an update")
            raise invalid(resource.group, resource.kind, name, [cause])
        self._preconditions(resource, meta, old)
        owners = meta.pop("managedFields", None)
        obj = self._merged(resource, obj, old, subresource)
        self._own(obj, old, owners, resource, manager)
        if obj == old:
            return old, False
        if subresource != "status":
            self._check(obj, old, resource)
        else:
            errors = metadata_update_errors(obj, old, self.profile)
            if resource.plural == "services":
                errors += status_errors(obj, self.profile)
            if errors:
                raise invalid(resource.group, resource.kind, name, errors)
        if dry_run:
            return obj, False
        if "deletionTimestamp" in obj["metadata"] and not self._held(obj, resource):
            last = self.store.delete(resource.storage, obj["metadata"].get("namespace", ""), name)
            return last or obj, False
        return self.store.put(resource.storage, obj), False

    def _preconditions(self, resource: Resource, meta: Document, old: Document) -> None:
        name, before = old["metadata"]["name"], old["metadata"]
        version, uid = meta.get("resourceVersion"), meta.get("uid")
        if uid and uid != before["uid"] and self.profile.uid_conflict_is_409:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before['uid']}"
            raise conflict(resource.group, resource.plural, name, why)
        if resource.custom and not version:
            cause = Cause(
                "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion"
            )
            raise invalid(resource.group, resource.plural, name, [cause])
        if version and not str(version).isdigit():
            cause = wrong(
                "metadata.resourceVersion", version, f'strconv.ParseUint: parsing "{version}": invalid syntax'
            )
            raise invalid(resource.group, resource.kind, name, [cause])
        if version and version != before["resourceVersion"]:
            raise conflict(resource.group, resource.plural, name, STALE)

    def _merged(self, resource: Resource, obj: Document, old: Document, subresource: str) -> Document:
        meta, before = obj["metadata"], old["metadata"]
        for field in (
            "uid",
            "creationTimestamp",
            "namespace",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ):
            if field in before:
                if field not in ("uid",) or not meta.get("uid"):
                    meta[field] = before[field]
            else:
                meta.pop(field, None)
        meta["resourceVersion"] = before["resourceVersion"]
        meta.pop("selfLink", None)
        prepare.drop_empty(meta)
        obj["apiVersion"], obj["kind"] = old["apiVersion"], old["kind"]
        if subresource == "status":
            return prepare.status_update(obj, old, resource, self.profile)
        prepare.defaults(obj, resource, self.profile)
        prepare.on_update(obj, old, resource, self.profile)
        if "generation" in before and obj.get("spec") != old.get("spec"):
            meta["generation"] = before["generation"] + 1
        return obj

    def _own(
        self, obj: Document, old: Document, sent: list[Document] | None, resource: Resource, manager: Manager | None
    ) -> None:
        """Write down, in place, who owns what after an update; `sent` are the entries that came with it."""
        before = old["metadata"].get("managedFields")
        if manager is None:
            kept = before
        elif manager.operation == APPLY:
            kept = sent
        else:
            if sent is not None:
                obj["metadata"]["managedFields"] = sent
            self.ownership.updated(obj, old, resource, manager)
            return
        if kept:
            obj["metadata"]["managedFields"] = kept

    def _check_namespace(self, resource: Resource, namespace: str, meta: Document) -> None:
        if not resource.namespaced:
            return
        if meta.get("namespace") and meta["namespace"] != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        home = self.store.get("namespaces", "", namespace)
        if home is None:
            raise not_found("", "namespaces", namespace)
        if "deletionTimestamp" in home["metadata"]:
            raise _terminating(namespace, resource, meta.get("name", ""))

    def _check(self, obj: Document, old: Document | None, resource: Resource) -> None:
        if resource.kind == "Service":
            before: list[Cause] = []
            if old is None or obj["spec"] != old["spec"]:
                trial = copy.deepcopy(obj)
                if old is not None:
                    before = service_errors(trial, old, self.profile) if not _allocatable(trial, old) else []
                if before:
                    raise invalid("", "Service", obj["metadata"].get("name", ""), before)
                if obj["metadata"].get("name"):
                    self._allocator.complete(obj)
            errors = service_errors(obj, old, self.profile)
        else:
            errors = kind_errors(obj, old, resource, self.profile)
        if old is None:
            errors = metadata_errors(obj, resource, self.profile) + errors
        else:
            errors = metadata_update_errors(obj, old, self.profile) + errors
        if errors:
            raise invalid(resource.group, resource.kind, obj["metadata"].get("name", ""), errors)

    @staticmethod
    def _held(obj: Document, resource: Resource) -> bool:
        if obj["metadata"].get("finalizers"):
            return True
        if resource.plural == "namespaces":
            return bool((obj.get("spec") or {}).get("finalizers"))
        return bool(obj["metadata"].get("deletionGracePeriodSeconds"))

    def delete(
        self, resource: Resource, namespace: str, name: str, options: Document, *, dry_run: bool = False
    ) -> Document:
        """Delete, or begin to; returns what the API answers (the object or a Status)."""
        old = self.get(resource, namespace, name)
        self._delete_preconditions(resource, old, options.get("preconditions") or {})
        meta = old["metadata"]
        if resource.plural == "namespaces" and name in _IMMORTAL:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise ApiError(403, "Forbidden", message, {"name": name, "kind": "namespaces"})
        grace = options.get("gracePeriodSeconds")
        if resource.plural == "pods" and grace != 0 and self.graceful(old):
            seconds = (
                int(grace)
                if grace is not None
                else int((old.get("spec") or {}).get("terminationGracePeriodSeconds", 30))
            )
            if seconds > 0:
                return self._mark(resource, old, seconds, dry_run=dry_run)
        policy = options.get("propagationPolicy") or ("Orphan" if options.get("orphanDependents") else "")
        if resource.group == "apps" and not dry_run:
            if policy == "Orphan":
                self._disown(meta["uid"])
            elif policy == "Foreground" and FOREGROUND not in (meta.get("finalizers") or []):
                old = {**old, "metadata": {**meta, "finalizers": [*(meta.get("finalizers") or []), FOREGROUND]}}
                return self._mark(resource, old, 0, dry_run=dry_run)
            elif FOREGROUND in (meta.get("finalizers") or []):
                left = [name for name in meta["finalizers"] if name != FOREGROUND]
                meta = {**meta, "finalizers": left}
        held = bool(meta.get("finalizers")) or (
            resource.plural == "namespaces" and (old.get("spec") or {}).get("finalizers")
        )
        if held:
            return self._mark(resource, old, 0, dry_run=dry_run)
        last = old if dry_run else self.store.delete(resource.storage, meta.get("namespace", ""), name)
        returns = resource.plural in _RETURNS_OBJECT or (
            resource.plural == "services" and self.profile.delete_returns_service
        )
        if returns:
            return last or old
        details: Document = {"name": name, "kind": resource.plural, "uid": meta["uid"]}
        if resource.group:
            details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": meta["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _disown(self, uid: str) -> None:
        """Take an owner out of the references of all that it owns."""
        for resource in list(self.resources.values()):
            for obj in self.store.all(resource.storage):
                owners = obj["metadata"].get("ownerReferences") or []
                left = [owner for owner in owners if owner.get("uid") != uid]
                if left != owners:
                    meta = {k: v for k, v in obj["metadata"].items() if k != "ownerReferences"}
                    more = {"ownerReferences": left} if left else {}
                    self.store.put(resource.storage, {**obj, "metadata": {**meta, **more}})

    def _mark(self, resource: Resource, old: Document, seconds: int, *, dry_run: bool) -> Document:
        meta = old["metadata"]
        if "deletionTimestamp" in meta and seconds >= int(meta.get("deletionGracePeriodSeconds") or 0):
            return old
        obj = copy.deepcopy(old)
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        obj["metadata"]["deletionTimestamp"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        obj["metadata"]["deletionGracePeriodSeconds"] = seconds
        if resource.plural == "namespaces":
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
            obj["metadata"].pop("deletionGracePeriodSeconds")
        return obj if dry_run else self.store.put(resource.storage, obj)

    def _delete_preconditions(self, resource: Resource, old: Document, wanted: Document) -> None:
        meta, name = old["metadata"], old["metadata"]["name"]
        uid, version = wanted.get("uid"), wanted.get("resourceVersion")
        if uid and uid != meta["uid"]:
            why = f"the UID in the precondition ({uid}) does not match the UID in record ({meta['uid']}). "
            why += "The object might have been deleted and then recreated"
            error = conflict(resource.group, resource.plural, name, why)
            error.message = error.message.replace(f"on {resource.plural}", f"on {resource.kind}", 1)
            raise error
        if version and version != meta["resourceVersion"]:
            current = meta["resourceVersion"]
            why = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            why += f"({current}). The object might have been modified"
            raise conflict(resource.group, resource.plural, name, why)


def _allocatable(service: Document, old: Document) -> bool:
    """Tell whether an update may go to the allocator: a changed cluster IP is refused as immutable first."""
    new_ips, old_ips = service["spec"].get("clusterIPs"), old["spec"].get("clusterIPs")
    return not new_ips or not old_ips or new_ips == old_ips or old["spec"].get("type") == "ExternalName"
