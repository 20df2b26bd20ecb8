"""deploy/compose.yaml, and the files that it mounts into Prometheus and Grafana."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from image_moderation.settings import Settings
from image_moderation.settings.values import parse_duration
from tests.support.deploy_commands import DEPLOY, changed, faults, installed, ours

FILE = DEPLOY / "compose.yaml"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yaml"
GRAFANA = DEPLOY / "grafana"


def schema_faults(path: Path) -> str:
    return faults(ours("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return services


def test_it_is_what_compose_takes() -> None:
    assert not schema_faults(FILE)


@pytest.mark.parametrize(
    "edit",
    [("    ports:", "    prots:"), ("condition: service_healthy", "condition: service_healty")],
    ids=["unknown key", "unknown value"],
)
def test_a_typo_is_found(edit: tuple[str, str], tmp_path: Path) -> None:
    assert schema_faults(changed(FILE, tmp_path / "compose.yaml", [edit]))


def test_the_service_takes_its_settings(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: found for name, found in services.items() if name.startswith("service")}
    assert sorted(ours) == ["service", "service-kafka", "service-nats", "service-rabbitmq"]
    for service in ours.values():
        # The broker URL is replaced; this checks the names and the other values.
        Settings.load(service["environment"] | {"MODERATION_BROKER_URL": "redis://redis"})
        assert parse_duration(service["stop_grace_period"]) > Settings.load(
            {"MODERATION_BROKER_URL": "redis://redis"}
        ).shutdown_timeout + timedelta(seconds=5)


def test_services_on_different_brokers_share_no_store(services: dict[str, dict[str, Any]]) -> None:
    environments = [found["environment"] for name, found in services.items() if name.startswith("service")]
    stores = [env.get("MODERATION_STORE_URL", env["MODERATION_BROKER_URL"]) for env in environments]
    assert len(set(stores)) == len(stores)


def test_nothing_listens_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_everything_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounts = [mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])]
    folders = [FILE.parent / mount for mount in mounts if mount.startswith(".")]
    assert folders
    assert [folder for folder in folders if not folder.exists()] == []


def test_prometheus_takes_its_configuration() -> None:
    assert not faults(installed("promtool"), "check", "config", PROMETHEUS)


def test_prometheus_refuses_a_typo(tmp_path: Path) -> None:
    edits = [("[rules.yaml]", "[]"), ("dns_sd_configs", "dns_sd_config")]
    assert faults(
        installed("promtool"), "check", "config", changed(PROMETHEUS, tmp_path / "prometheus.yaml", edits)
    )


def test_grafana_finds_its_dashboard(services: dict[str, dict[str, Any]]) -> None:
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    [provider] = yaml.safe_load((GRAFANA / "provisioning/dashboards/image-moderation.yaml").read_text())[
        "providers"
    ]
    assert dashboard["uid"] == "image-moderation"
    mounted = [mount.split(":")[1] for mount in services["grafana"]["volumes"]]
    assert provider["options"]["path"] + "/dashboard.json" in mounted
    assert source["url"] == "http://prometheus:9090"
