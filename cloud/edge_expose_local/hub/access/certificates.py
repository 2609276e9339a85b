"""Sign-in with an X.509 certificate: by the thumbprint in the registry, or by an authority that the hub knows. Pure.

A self-signed certificate is compared by its thumbprint alone; one of an authority must name the device in its common
name and lead to the authority (Microsoft Learn, "Authenticate identities with X.509 certificates").
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from OpenSSL import crypto


def thumbprints(certificate: x509.Certificate) -> set[str]:
    """SHA-1 and SHA-256 in upper-case hexadecimal; the registry may hold either."""
    return {certificate.fingerprint(kind).hex().upper() for kind in (hashes.SHA1(), hashes.SHA256())}  # noqa: S303


def has_thumbprint(certificate: x509.Certificate, wanted: Iterable[str | None]) -> bool:
    return bool(thumbprints(certificate) & {item.upper() for item in wanted if item})


def problem_with_chain(certificates: list[x509.Certificate], authorities: list[x509.Certificate], name: str) -> str:
    """Why a certificate with its intermediates does not prove `name`; empty when it does."""
    common = [str(item.value) for item in certificates[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common != [name]:
        return f"the common name of the certificate is {', '.join(common) or 'missing'}"
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # an intermediate may be what was registered
    for item in authorities:
        store.add_cert(crypto.X509.from_cryptography(item))
    leaf, *rest = (crypto.X509.from_cryptography(item) for item in certificates)
    try:
        crypto.X509StoreContext(store, leaf, rest).verify_certificate()
    except crypto.X509StoreContextError as error:
        return f"the certificate leads to no authority of this hub: {error}"
    return ""


def read_authority(text: str) -> x509.Certificate | str:
    """A CA certificate from PEM, or what is wrong with it."""
    try:
        certificate = x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        return f"no PEM certificate: {error}"
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return "the certificate has no basic constraints, so that it is no authority"
    return certificate if basic.ca else "the certificate is not that of an authority"


def to_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
