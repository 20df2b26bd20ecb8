"""deploy/kubernetes, rendered by kubectl's kustomize and validated against strict schemas."""

import copy
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.prometheus import prometheus_rule
from image_moderation.settings import Settings
from image_moderation.settings.environment import variable
from image_moderation.settings.model import SECRETS
from tests.support.deploy_commands import DEPLOY, changed, faults, ours, run

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("redis", "kafka", "rabbitmq", "nats")
FOLDERS = {"base": KUBERNETES / "base"} | {name: KUBERNETES / "overlays" / name for name in OVERLAYS}
VERSIONS = ("1.33", "1.37")
"""The oldest and the newest release whose schemas the validator has."""
SCHEMAS = {
    path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "crds").glob("*.json")
}

TRIGGERS = {
    "redis-streams": {"address", "stream", "consumerGroup", "databaseIndex", "lagCount"},
    "kafka": {"bootstrapServers", "consumerGroup", "topic", "lagThreshold", "offsetResetPolicy"},
    "rabbitmq": {"protocol", "queueName", "mode", "value"},
    "nats-jetstream": {"natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"},
}
"""The metadata keys of each KEDA trigger; KEDA's own resource definition accepts any key there."""

Document = dict[str, Any]


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Document]]:
    """The documents of the base and of each overlay, as a cluster would get them."""
    return {name: render(folder) for name, folder in FOLDERS.items()}


def render(folder: Path) -> list[Document]:
    done = run(ours("kubectl"), "kustomize", folder)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns of what it will soon refuse"
    return list(yaml.safe_load_all(done.stdout))


def find(documents: list[Document], kind: str, name: str = "image-moderation") -> Document:
    [found] = [found for found in documents if (found["kind"], found["metadata"]["name"]) == (kind, name)]
    return found


def check(document: Document) -> None:
    """Raise jsonschema.ValidationError if a cluster would refuse the document or ignore one of its keys."""
    if document["kind"] in SCHEMAS:
        jsonschema.validate(document, SCHEMAS[document["kind"]])
        for trigger in document["spec"].get("triggers", ()):
            keys = {"type": "object", "required": sorted(TRIGGERS[trigger["type"]])}
            allowed = {key: {"type": "string"} for key in TRIGGERS[trigger["type"]]}
            jsonschema.validate(
                trigger["metadata"], keys | {"properties": allowed, "additionalProperties": False}
            )
    else:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_cluster_takes_it(name: str, rendered: dict[str, list[Document]]) -> None:
    for document in rendered[name]:
        check(document)
        assert document["metadata"]["namespace"] == "image-moderation"
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "image-moderation"


def test_everything_asked_for_is_there(rendered: dict[str, list[Document]]) -> None:
    kinds = {
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
    }
    assert {document["kind"] for document in rendered["base"]} == kinds
    for name in OVERLAYS:
        assert {document["kind"] for document in rendered[name]} >= kinds | {"ScaledObject"}


def _mistype_probe(deployment: Document) -> None:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readynessProbe"] = container.pop("readinessProbe")


def _mistype_monitor(monitor: Document) -> None:
    monitor["spec"]["podMetricsEndpoint"] = monitor["spec"].pop("podMetricsEndpoints")


def _mistype_scaled_object(scaled: Document) -> None:
    scaled["spec"]["maxReplicas"] = scaled["spec"].pop("maxReplicaCount")


def _mistype_trigger(scaled: Document) -> None:
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    metadata["lagcount"] = metadata.pop("lagCount")


def _mistype_rule(rule: Document) -> None:
    rule["spec"]["groups"][0]["rules"][0]["exp"] = "vector(1)"


def _mistype_authentication(authentication: Document) -> None:
    authentication["spec"]["secretTargetRef"][0]["secret"] = "image-moderation"


@pytest.mark.parametrize(
    ("kind", "mistype"),
    [
        ("Deployment", _mistype_probe),
        ("PodMonitor", _mistype_monitor),
        ("ScaledObject", _mistype_scaled_object),
        ("ScaledObject", _mistype_trigger),
        ("PrometheusRule", _mistype_rule),
        ("TriggerAuthentication", _mistype_authentication),
    ],
)
def test_a_typo_is_found(
    kind: str, mistype: Callable[[Document], None], rendered: dict[str, list[Document]]
) -> None:
    document = copy.deepcopy(find(rendered["redis"], kind))
    check(document)
    mistype(document)
    with pytest.raises(jsonschema.ValidationError):
        check(document)


def test_a_typo_in_a_kustomization_is_found(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    folder = tmp_path / "deploy" / "kubernetes" / "overlays" / "redis"
    changed(
        FOLDERS["redis"] / "kustomization.yaml", folder / "kustomization.yaml", [("resources:", "resource:")]
    )
    assert "resource" in faults(ours("kubectl"), "kustomize", folder)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_service_takes_its_settings(
    name: str, rendered: dict[str, list[Document]], tmp_path: Path
) -> None:
    """The files list every setting, so that operators see what they can set, and each value is valid."""
    for key, value in (("broker-url", "redis://b"), ("store-url", "redis://s"), ("reporter-key", "k" * 32)):
        (tmp_path / key).write_text(value + "\n")
    pod = find(rendered[name], "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    [source] = container["envFrom"]
    config = find(rendered[name], "ConfigMap", source["configMapRef"]["name"])
    assert config["metadata"]["name"] != "image-moderation", "a hash at its end makes a change roll the pods"
    [mount] = container["volumeMounts"]
    given = {entry["name"]: entry.get("value", "pod-1") for entry in container["env"]}
    environment = config["data"] | {
        variable: value.replace(mount["mountPath"], str(tmp_path)) for variable, value in given.items()
    }
    settings = Settings.load(environment)
    expected = {variable(field) + ("_FILE" if field in SECRETS else "") for field in Settings.model_fields}
    if name in ("base", "redis"):
        expected.remove("MODERATION_STORE_URL_FILE")
    assert set(environment) == expected
    assert settings.http_host == "0.0.0.0"
    assert settings.http_port == container["ports"][0]["containerPort"]
    grace = timedelta(seconds=pod["terminationGracePeriodSeconds"])
    assert grace > settings.shutdown_timeout + timedelta(seconds=5)
    assert pod["enableServiceLinks"] is False, "a Service named moderation would set unknown variables"


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_scales_names_what_is_there(name: str, rendered: dict[str, list[Document]]) -> None:
    scaled = find(rendered[name], "ScaledObject")
    deployment = find(rendered[name], "Deployment")
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "each apply would set back what KEDA has decided"
    assert scaled["spec"]["minReplicaCount"] == find(rendered["base"], "Deployment")["spec"]["replicas"] == 2
    names = {document["metadata"]["name"] for document in rendered[name] if "Trigger" in document["kind"]}
    references = {trigger.get("authenticationRef", {}).get("name") for trigger in scaled["spec"]["triggers"]}
    assert references - {None} == names


def test_selectors_select_the_pods(rendered: dict[str, list[Document]]) -> None:
    documents = rendered["kafka"]
    labels = find(documents, "Deployment")["spec"]["template"]["metadata"]["labels"]
    specs = [document["spec"] for document in documents if "spec" in document]
    selectors = [spec.get("selector") or spec.get("podSelector") for spec in specs]
    wanted = [selector["matchLabels"] for selector in selectors if selector]
    assert len(wanted) == 5  # deployment, budget, monitor, two network policies
    assert all(selector.items() <= labels.items() for selector in wanted)


def test_the_alert_rules_are_those_of_prometheus() -> None:
    rules = prometheus_rule.RULES.read_text()
    written = prometheus_rule.MANIFEST.read_text()
    assert written == prometheus_rule.manifest(rules), "the rules have changed: `make rules`"
    assert yaml.safe_load(written)["spec"] == yaml.safe_load(rules)


def test_the_trial_is_apart_from_the_real_replicas(rendered: dict[str, list[Document]]) -> None:
    """Nothing of it replaces something of theirs, and no selector of one finds a pod of the other."""
    trial = render(KUBERNETES / "overlays" / "trial")
    for document in trial:
        check(document)
    assert not names(trial) & names(rendered["redis"])
    [config] = [document["data"] for document in trial if document["kind"] == "ConfigMap"]
    settings = Settings.load(config | {"MODERATION_BROKER_URL": "redis://b"})
    assert settings.mode == "shadow"
    assert "image-moderation" not in (settings.key_prefix, settings.consumer_group)
    for these, others in ((trial, rendered["redis"]), (rendered["redis"], trial)):
        labels = find(others, *deployment_of(others))["spec"]["template"]["metadata"]["labels"]
        specs = [document["spec"] for document in these if "spec" in document]
        selectors = [spec.get("selector") or spec.get("podSelector") for spec in specs]
        assert not [one for one in selectors if one and one["matchLabels"].items() <= labels.items()]


def names(documents: list[Document]) -> set[tuple[str, str]]:
    return {(document["kind"], document["metadata"]["name"]) for document in documents}


def deployment_of(documents: list[Document]) -> tuple[str, str]:
    [found] = [name for name in names(documents) if name[0] == "Deployment"]
    return found
