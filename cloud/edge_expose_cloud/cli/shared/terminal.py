"""Tables and colours, drawn by rich. Imported only where one is drawn: it takes its time to load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import IO, Any, Final, TextIO, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge_expose_cloud.cli.shared.output import VISIBLE, without_trailing_blanks

_PIPE_WIDTH: Final = 160


class _Trimmed:
    """A stream that drops the blanks with which tables fill their lines: a pipe has no use for them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(without_trailing_blanks(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Console(Console):
    """Shows control characters instead of sending them: what a device reports must not steer a terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(text.translate(VISIBLE), **options)


def console_on(stream: TextIO) -> Console:
    """A pipe gets a fixed width, so that tables are not cut at 80 columns."""
    narrow = not stream.isatty()
    return _Console(
        file=cast("IO[str]", _Trimmed(stream)) if narrow else stream,
        highlight=False,
        soft_wrap=False,
        emoji=False,  # a name between colons is a name
        width=_PIPE_WIDTH if narrow and "COLUMNS" not in os.environ else None,
    )


def marked(text: str, mark: str, colour: str) -> Text:
    """A line with a coloured mark before it. Not by way of markup, which doubles a backslash at the end."""
    plain = text.translate(VISIBLE)
    return Text.assemble((mark, colour), " ", plain) if mark else Text(plain)


def drawn(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None) -> Table:
    """A plain table; cells are markup."""
    made = Table(
        *columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_edge=False
    )
    for row in rows:
        made.add_row(*row)
    for column in made.columns:
        column.overflow = "fold"
    return made
