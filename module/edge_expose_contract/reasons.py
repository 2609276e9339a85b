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
    "ClusterIPsExhausted",
    "ClusterUnavailable",
    "EndpointNotAllowed",
    "EndpointsUnreadable",
    "FamilyMismatch",
    "ForeignService",
    "GuardRailsUnknown",
    "HostnameNotAllowed",
    "InvalidExposure",
    "LabelNotAllowed",
    "ModuleName",
    "NamespaceNotAllowed",
    "NamespaceTerminating",
    "NoPool",
    "NoReadyEndpoints",
    "NodeAddress",
    "NodePortsExhausted",
    "NotAnnounced",
    "NotCreatedYet",
    "OutsideRails",
    "PolicyDenied",
    "PoolAddressMismatch",
    "PoolExhausted",
    "PoolInvalid",
    "PoolMismatch",
    "PoolNotForService",
    "PortNotAllowed",
    "PortTaken",
    "QuotaExceeded",
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
    "WebhookUnavailable",
]

REASONS: Final[frozenset[Reason]] = frozenset(get_args(Reason))
