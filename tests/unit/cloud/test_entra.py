"""Signing in with Microsoft Entra ID: each way it can fail is one line, with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_expose_cloud.adapters.entra_errors import sign_in_error
from edge_expose_cloud.adapters.iothub_errors import translate
from edge_expose_cloud.hub.api import HubProblem
from support.hub import child_environment


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (
            "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted",
            "no sign-in",
            "az login",
        ),
        ("AADSTS7000215: Invalid client secret provided. Ensure", "client secret is wrong", "not its id"),
        ("AADSTS7000222: The provided client secret keys are expired", "secret has expired", "new secret"),
        ("AADSTS700016: Application with identifier 'x' was not found", "not known in this tenant", "AZURE_CLIENT_ID"),
        ("AADSTS90002: Tenant 'x' not found", "tenant is not known", "AZURE_TENANT_ID"),
        ("ERROR: AADSTS70043: The refresh token has expired", "sign-in has expired", "az login"),
        ("AADSTS50076: you must use multi-factor", "multi-factor", "az login"),
        ("AADSTS53003: Access has been blocked by Conditional Access", "conditional access", "policy"),
        ("AADSTS99999999: something new", "refused", "documented"),
        ("Please run 'az login' to set up an account", "no sign-in", "az login"),
        ("something else entirely", "something else entirely", "az login"),
    ],
)
def test_each_way_it_can_fail(text: str, what: str, hint: str) -> None:
    error = sign_in_error(text)
    assert error.problem is HubProblem.UNAUTHORIZED
    assert what in error.message
    assert hint in error.hint
    assert "\n" not in error.message


def test_the_error_of_the_library_is_recognised() -> None:
    class ClientAuthenticationError(Exception):
        pass

    assert translate(ClientAuthenticationError("AADSTS90002: x"), "reading").message.startswith("signing in failed")


def test_the_command_without_any_sign_in_says_so_in_two_lines(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "edge_expose_cloud",
        "status",
        "d1",
        "--hub",
        "h.azure-devices.net",
        "--auth",
        "entra",
    ]
    # A metadata endpoint that refuses at once stands in for a machine without a managed identity.
    environment = child_environment(HOME=str(tmp_path), PATH=str(tmp_path), IDENTITY_ENDPOINT="", MSI_ENDPOINT="")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "signing in failed: no sign-in was found" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
