"""Turns what use cases raise into messages on stderr and exit codes: 1 something outside, 2 the input."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from edge_expose_cloud.adapters.files import LocalFileError
from edge_expose_cloud.adapters.sealing import KeyFileError
from edge_expose_cloud.cli.shared.options import UsageProblem
from edge_expose_cloud.cli.shared.output import count_words, err, show_error, show_findings
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import HubError

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with expected problems shown and the right exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InputError as error:
            show_findings(error.findings, err())
            err().line(f"{count_words(error.findings)}; nothing was sent")
            raise typer.Exit(2) from None
        except UsageProblem as error:
            show_error(error.message, error.hint)
            raise typer.Exit(2) from None
        except (Refused, HubError) as error:
            show_error(error.message, error.hint)
            raise typer.Exit(1) from None
        except KeyFileError as error:
            show_error(
                str(error), "openssl rand -base64 32 | tr '+/' '-_' makes a key; keep it where backups are not kept"
            )
            raise typer.Exit(1) from None
        except LocalFileError as error:
            show_error(str(error), "check the path, its permissions and the space left, or name another folder")
            raise typer.Exit(1) from None
        except BrokenPipeError:
            # The reader went away (head, less): not an error of ours.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return run
