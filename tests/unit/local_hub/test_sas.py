"""Shared access signatures and the hub's judgement of them."""

from __future__ import annotations

import base64

import pytest

from edge_expose_local.hub.access import sas

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


def test_token_is_read_back_and_verified_with_either_key() -> None:
    token = sas.parse(sas.make("localhost:8443/devices/a", KEY, 1000, "iothubowner"))
    assert isinstance(token, sas.SasToken)
    assert (token.plain_resource, token.expiry, token.policy) == ("localhost:8443/devices/a", 1000, "iothubowner")
    assert sas.signed_by(token, (OTHER, KEY))
    assert not sas.signed_by(token, (OTHER,))
    assert not sas.signed_by(token, ("",))


@pytest.mark.parametrize(
    "change", [("sr=", "sr=x"), ("se=1000", "se=1001"), ("sig=", "sig=A")], ids=["resource", "expiry", "signature"]
)
def test_changed_part_breaks_the_signature(change: tuple[str, str]) -> None:
    token = sas.parse(sas.make("hub", KEY, 1000).replace(*change))
    assert isinstance(token, sas.SasToken)
    assert not sas.signed_by(token, (KEY,))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a"),
        ("Bearer x", "not a"),
        ("SharedAccessSignature sr=a&sig=b", "se"),
        ("SharedAccessSignature sr=a&sig=b&se=soon", "number"),
    ],
)
def test_broken_token_is_explained(text: str, word: str) -> None:
    problem = sas.parse(text)
    assert isinstance(problem, str)
    assert word in problem


@pytest.mark.parametrize(
    ("key", "good"),
    [
        (KEY, True),
        (base64.b64encode(b"x" * 15).decode(), False),
        (base64.b64encode(b"x" * 65).decode(), False),
        ("no!", False),
    ],
)
def test_keys_are_base64_of_16_to_64_bytes(key: str, good: bool) -> None:
    assert sas.valid_key(key) is good
