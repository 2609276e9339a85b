"""What is shown of a problem that was expected, and its exit code. Loaded once something went wrong: it knows all that
can, the hub's answers included."""

from __future__ import annotations

from edge_expose_cloud.adapters.files import LocalFileError
from edge_expose_cloud.adapters.sealing import KeyFileError
from edge_expose_cloud.cli.shared.options import UsageProblem
from edge_expose_cloud.cli.shared.output import count_words, err, show_error, show_findings
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError

_KEY_HINT = "name the key that the backup was sealed with; for a new one: openssl rand -base64 32 | tr '+/' '-_'"


def tell(error: Exception) -> int | None:
    """The exit code; None, and nothing is shown, for what nobody expected."""
    match error:
        case InputError():
            show_findings(error.findings, err())
            err().line(f"{count_words(error.findings)}; nothing was sent")
            return 2
        case UsageProblem():
            show_error(error.message, error.hint)
            return 2
        case Refused() | HubError():
            show_error(error.message, error.hint)
            return 1
        case KeyFileError():
            show_error(str(error), _KEY_HINT)
            return 1
        case LocalFileError():
            show_error(str(error), "check the path, its permissions and the space left, or name another folder")
            return 1
        case _:
            return None
