"""The real combinations this stand-in behaves like, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass

from .types import Types, types_of


@dataclass(frozen=True, slots=True)
class Profile:
    """One pair of Kubernetes and MetalLB versions; the flags name what differs between them."""

    name: str
    git_version: str
    major: str
    minor: str
    metallb: str
    crd_pools: bool
    """MetalLB is configured by IPAddressPool objects (else by the ConfigMap metallb-system/config)."""
    modern_service_fields: bool
    """loadBalancerClass, internalTrafficPolicy, ipFamilies and so on exist (else they are dropped in silence)."""
    mixed_protocols: bool
    delete_returns_service: bool
    put_creates: bool
    uid_conflict_is_409: bool
    service_deletecollection: bool
    slice_version: str
    """Version of discovery.k8s.io that is served."""
    ip_mode: bool
    impersonates_uid: bool
    """Impersonate-Uid counts (else it is ignored in silence)."""
    constrained_impersonation: bool
    """The verbs impersonate-on:MODE:VERB exist; refusals name them."""
    names_representations: bool
    """A 406 says what can be had."""
    owners_by_subresource: bool
    """managedFields tell the subresource, and a write through one owns nothing beyond it."""
    strict_fields: bool
    """fieldValidation is known (else unknown and doubled fields are dropped in silence)."""
    refusals_name_paths: bool
    """A refused label selector says where it is wrong."""
    openapi_v3: bool
    """OpenAPI v3 is served beside v2."""
    self_review: bool
    """SelfSubjectReview is served."""

    @property
    def types(self) -> Types:
        """The types of this version."""
        return types_of(self.git_version.removeprefix("v"))


PROFILES: dict[str, Profile] = {
    "1.36": Profile(
        name="1.36",
        git_version="v1.36.3",
        major="1",
        minor="36",
        metallb="0.16.1",
        crd_pools=True,
        modern_service_fields=True,
        mixed_protocols=True,
        delete_returns_service=True,
        put_creates=True,
        uid_conflict_is_409=True,
        service_deletecollection=True,
        slice_version="v1",
        ip_mode=True,
        impersonates_uid=True,
        constrained_impersonation=True,
        names_representations=True,
        owners_by_subresource=True,
        strict_fields=True,
        refusals_name_paths=True,
        openapi_v3=True,
        self_review=True,
    ),
    "1.20": Profile(
        name="1.20",
        git_version="v1.20.15",
        major="1",
        minor="20",
        metallb="0.10.3",
        crd_pools=False,
        modern_service_fields=False,
        mixed_protocols=False,
        delete_returns_service=False,
        put_creates=False,
        uid_conflict_is_409=False,
        service_deletecollection=False,
        slice_version="v1beta1",
        ip_mode=False,
        impersonates_uid=False,
        constrained_impersonation=False,
        names_representations=False,
        owners_by_subresource=False,
        strict_fields=False,
        refusals_name_paths=False,
        openapi_v3=False,
        self_review=False,
    ),
}
