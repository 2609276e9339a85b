"""What the health port says: `/healthz` for whoever restarts the portal, `/metrics` for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "edge_expose_portal"
_PATIENCE: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge: `values` by what `label` tells apart, or the one value under ""."""

    name: str
    text: str
    values: Mapping[str, float]
    label: str = ""


class Health:
    """`figures` are asked for at each scrape, in the loop of the health port and not in the portal's."""

    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(figures))
        self._answers = Counter(f"{PREFIX}_requests", "Answers by HTTP status", ["status"], registry=self._registry)
        self._seconds = Histogram(f"{PREFIX}_request_seconds", "Time to the end of an answer", registry=self._registry)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that must answer."""
        self._loop = loop

    def answered(self, status: int, seconds: float) -> None:
        """A request of the portal has ended."""
        self._answers.labels(str(status)).inc()
        self._seconds.observe(seconds)

    async def page(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            if await self._alive():
                return 200, _PLAIN, b"ok\n"
            return 503, _PLAIN, b"the portal does not answer\n"
        return 404, _PLAIN, b"here are /healthz and /metrics\n"

    async def _alive(self) -> bool:
        if self._loop is None or self._loop.is_closed():
            return False
        try:
            turn = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop))
            async with asyncio.timeout(_PATIENCE):
                await turn
        except (TimeoutError, RuntimeError):  # it is busy, or was closed meanwhile
            return False
        return True


class _Figures(Collector):
    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._figures = figures

    def describe(self) -> Iterator[Metric]:
        return iter(())  # else the registry would collect once to learn the names

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures():
            labels = [figure.label] if figure.label else []
            metric = GaugeMetricFamily(f"{PREFIX}_{figure.name}", figure.text, labels=labels)
            for key, value in figure.values.items():
                metric.add_metric([key] if figure.label else [], value)
            yield metric
