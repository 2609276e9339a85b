"""The shipped alert rules, dashboard and scrape jobs, judged by promtool and by what module and portal expose."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from edge_expose_cloud.adapters.health_port import Health
from edge_expose_cloud.portal.app import make_portal
from edge_expose_cloud.portal.live.measures import figures
from edge_expose_cloud.portal.shell import Settings
from edge_expose_module.adapters.health import Metrics
from support.cloud import applied_hub
from support.cluster import ROOT, clean_environment
from support.testbed_binaries import promtool

FOLDER = ROOT / "deployment-manifests" / "monitoring"


def check(*arguments: str) -> str:
    """What promtool printed; it must have found nothing wrong."""
    if not promtool().exists():
        pytest.skip("promtool is not unpacked: make testbed")
    done = subprocess.run(
        [promtool(), *arguments], env=clean_environment(), cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> Iterator[tuple[str, str]]:
    """Where each PromQL expression stands, and the expression."""
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def dashboard() -> Any:
    return json.loads((FOLDER / "dashboard.json").read_text())


def exposed(folder: Path) -> set[str]:
    """Names of all series of module and portal."""
    portal = make_portal(applied_hub(), Settings(folder / "backups", folder / "audit", folder / "users.json"))
    health = Health(lambda: figures(portal.poller, portal.sessions, portal.events))
    told = asyncio.run(health.page("/metrics"))[2].decode()
    told += generate_latest(Metrics().registry).decode()
    names = set()
    for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)$", told):
        names |= {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def test_alerts_fire_when_they_should_and_only_then() -> None:
    check("check", "rules", "alerts.yaml")
    check("test", "rules", "alerts_test.yaml")


def test_each_alert_is_tested_both_ways() -> None:
    alerts = {
        rule["alert"] for g in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in g["rules"]
    }
    tested = [
        {case["alertname"] for case in scenario["alert_rule_test"] if bool(case["exp_alerts"]) is fires}
        for scenario, fires in zip(
            yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"], (False, True), strict=True
        )
    ]
    assert tested == [alerts, alerts]


def test_the_expressions_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{place}", "expr": text.replace("$device", ".+")}
        for place, (_, text) in enumerate(expressions())
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    check("check", "rules", str(file))


def test_the_scrape_jobs_can_be_read(tmp_path: Path) -> None:
    """Debian's promtool knows no Kubernetes: fixed targets stand in for its service discovery."""
    text = (FOLDER / "scrape.yaml").read_text()
    fixed = text.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: [{targets: [x]}]")
    file = tmp_path / "prometheus.yaml"
    file.write_text(fixed)
    check("check", "config", str(file))
    jobs = {job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]}
    named = {name for _, expression in expressions() for name in re.findall(r'job="([^"]+)"', expression)}
    assert named <= jobs


def test_every_series_that_is_named_is_exposed(tmp_path: Path) -> None:
    names = exposed(tmp_path)
    for place, expression in expressions():
        for name in re.findall(r"\b(edge_expose_[a-z_]+)\b", expression):
            assert name in names, f"{place}: {name}"
