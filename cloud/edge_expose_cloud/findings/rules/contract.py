"""Rules that the contract's parsers and twin limits raise. Pure data: (id, severity, what, hint)."""

from __future__ import annotations

from typing import Literal

Row = tuple[str, Literal["error", "warning", "info"], str, str]

ROWS: tuple[Row, ...] = (
    (
        "UnknownField",
        "error",
        "A field that this document does not have.",
        "Check the spelling; see docs/reference/spec.md.",
    ),
    ("MissingField", "error", "A required field is absent.", "Add the field."),
    ("RangesOverlap", "error", "The external service IPs overlap the node IPs.", "Keep nodes out of the range."),
    ("OverlappingRanges", "error", "Two ranges of one list overlap.", "Keep each address in one range."),
    ("InvalidRange", "error", "An address range that cannot be read.", "Write START-END (both included) or a CIDR."),
    ("MixedRange", "error", "A range from IPv4 to IPv6.", "Write one range for each family."),
    ("ReversedRange", "error", "A range whose start is after its end.", "Swap the ends."),
    ("EmptyRange", "error", "A range without an address.", "Write START-END (both included) or a CIDR."),
    (
        "InvalidAddress",
        "error",
        "Not one IP address, or not one of each family.",
        "Write one IPv4 or IPv6 address, or v4,v6.",
    ),
    ("InvalidCIDR", "error", "A client network that is not a CIDR.", "Write a CIDR such as 10.1.0.0/16."),
    (
        "InvalidEndpoint",
        "error",
        "An endpoint address that Kubernetes refuses.",
        "No loopback, link-local or multicast address.",
    ),
    (
        "ReservedKey",
        "error",
        "A label or annotation that another field stands for, or that says whose a Service is.",
        "Use the field named (address, pool, share), or a key of your own.",
    ),
    (
        "InvalidName",
        "error",
        "An exposure name that cannot name a Service.",
        "Lower-case letters, digits and -, starting with a letter.",
    ),
    ("InvalidNamespace", "error", "Not a namespace name.", "Lower-case letters, digits and -, at most 63."),
    ("InvalidHostname", "error", "Not a DNS name.", "Write it like web.site1.example.com, in lower case."),
    (
        "AdoptedIsOurs",
        "warning",
        "A Service that is taken over is deleted when its exposure is withdrawn.",
        "The owner of the device must allow it: ALLOW_ADOPT.",
    ),
    (
        "HostnameTwice",
        "warning",
        "A host name that more than one Service would carry: one of them does.",
        "Give each exposure a name of its own.",
    ),
    ("InvalidPort", "error", "A port that cannot be read.", 'Write "[published:]target[/protocol]".'),
    ("InvalidPortName", "error", "Not a port name.", "Lower-case letters, digits and -."),
    ("InvalidProtocol", "error", "Not a protocol.", "tcp, udp or sctp."),
    ("ReversedPorts", "error", "A port range whose start is after its end.", "Swap the ends."),
    ("UnequalPortRanges", "error", "Published and target range differ in length.", "Give both the same length."),
    ("TooManyPorts", "error", "More ports than a Service or a document takes.", "Split it, or publish fewer."),
    ("DuplicatePort", "error", "One exposure publishes a port twice.", "Publish each port once."),
    ("DuplicatePortName", "error", "One exposure uses a port name twice.", "Give each port its own name."),
    (
        "InvalidKey",
        "error",
        "Not a Kubernetes label, annotation or class key.",
        "[dns.prefix/]name of letters, digits, - _ .",
    ),
    ("InvalidLabelValue", "error", "Not a label value.", "At most 63 letters, digits, - _ ."),
    ("InvalidPair", "error", "Not key=value.", "Write it like app=web."),
    ("InvalidShareKey", "error", "Not a sharing key.", "1 to 63 characters."),
    ("InvalidTime", "error", "Not an RFC 3339 time with a zone.", "Write it like 2026-11-22T18:00:00Z."),
    ("TextTooLong", "error", "A text that is longer than its field takes.", "Shorten it."),
    ("InvalidProbe", "error", "Not a probe.", '"tcp", or an HTTP path such as "/healthz".'),
    ("InvalidValue", "error", "A value of the wrong type or outside its choices.", "Write a value of the kind named."),
    ("OneTarget", "error", "Not exactly one of module, selector and endpoints.", "Keep one."),
    ("DuplicateSelectorKey", "error", "A selector that names one key twice.", "No pod could match both."),
    ("OnlyLoadBalancer", "error", "A field that needs type LoadBalancer.", "Leave it out, or change the type."),
    ("NamedTargetWithEndpoints", "error", "A named target port with endpoints.", "Give target ports as numbers."),
    ("FamilyMismatch", "error", "Addresses and IP families that do not agree.", "Make them agree."),
    ("NameTooLong", "error", "A name that is too long for edgeAgent.", "Shorten it."),
    ("TwinTooDeep", "error", "Objects that nest deeper than 10.", "Flatten it."),
    ("IllegalTwinKey", "error", "A key that no twin can hold.", "No . $ # or blanks; use a list of key=value."),
    ("NullInArray", "error", "null inside an array, which twins refuse.", "Leave the item out."),
    ("IntegerOutOfRange", "error", "A whole number that does not fit a twin.", "Send it as text."),
)
