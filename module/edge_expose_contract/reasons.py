"""Why an exposure, or the pool, is not as it should be: the words that the module reports and the cloud explains.

They are public: people search for them, and dashboards count them.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Reason = Literal[
    "AddressNotAllowed",
    "AddressOutsideRange",
    "AddressRefused",
    "AddressTaken",
    "AdoptNotAllowed",
    "AdoptionWouldDrop",
    "AllocationFailed",
    "AnnotationNotAllowed",
    "ClassNotAllowed",
    "ClusterUnavailable",
    "EndpointNotAllowed",
    "FamilyMismatch",
    "ForeignService",
    "GuardRailsUnknown",
    "HostnameNotAllowed",
    "InvalidExposure",
    "LabelNotAllowed",
    "ModuleName",
    "NamespaceNotAllowed",
    "NoPool",
    "NoReadyEndpoints",
    "NodeAddress",
    "NotAnnounced",
    "NotCreatedYet",
    "OutsideRails",
    "PoolAddressMismatch",
    "PoolExhausted",
    "PoolInvalid",
    "PoolMismatch",
    "PoolNotForService",
    "PortNotAllowed",
    "PortTaken",
    "RBACDenied",
    "Rejected",
    "RemovalHeldBack",
    "ReservedAddress",
    "SelectorMatchesNothing",
    "SelectorNamespace",
    "ServiceNameClash",
    "ServiceTerminating",
    "ShareAddressMismatch",
    "SharingPolicyMismatch",
    "SourceNotAllowed",
    "TooManyExposures",
    "TooManyPorts",
    "UnknownLoadBalancer",
    "UnknownPool",
    "UnsupportedByCluster",
    "WaitingForAddress",
]

REASONS: Final[frozenset[Reason]] = frozenset(get_args(Reason))
