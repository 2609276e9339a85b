"""A hub, new or with the small spec applied, and that spec as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cloud import READY, SPEC, applied_hub, use_hub
from support.fake_hub import FakeHub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    made = FakeHub()
    made.add_device("d1")
    use_hub(made)
    yield made
    use_hub(None)


@pytest.fixture
def applied() -> Iterator[FakeHub]:
    made = applied_hub()
    made.report("d1", "edge-expose", READY)
    use_hub(made)
    yield made
    use_hub(None)


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "s.yaml"
    path.write_text(SPEC)
    return str(path)
