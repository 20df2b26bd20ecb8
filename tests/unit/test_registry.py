"""The registry of brokers: each scheme has its folder, and only a missing client counts as not installed."""

import sys
from types import ModuleType

import pytest

from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import Misconfigured
from image_moderation.urls import BROKER_SCHEMES, BROKERS, SCHEMES
from tests.support.brokers import BROKERS as HARNESSES

NATS = "image_moderation.brokers.nats"


@pytest.fixture
def nats_folder_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name == NATS or name.startswith(f"{NATS}."):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("scheme", BROKER_SCHEMES)
def test_each_scheme_of_a_broker_has_its_folder(scheme: str) -> None:
    broker, row = broker_for(f"{scheme}://host"), SCHEMES[scheme].broker
    assert isinstance(broker, ModuleType)
    assert row is not None
    assert broker.__name__ == f"image_moderation.brokers.{row.name}"
    for function in ("make_transport", "open_client", "open_dead_letters"):
        assert callable(getattr(broker, function))


@pytest.mark.usefixtures("nats_folder_not_imported")
def test_a_missing_client_names_the_extra_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)  # as if it were not installed
    with pytest.raises(
        Misconfigured,
        match=r"not installed \(nats\): pip install '\.\[nats\]' in a checkout of image-moderation$",
    ):
        broker_for("nats://host")


@pytest.mark.usefixtures("nats_folder_not_imported")
def test_another_import_error_is_not_reported_as_a_missing_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faststream.nats", None)
    with pytest.raises(ImportError, match=r"faststream\.nats"):
        broker_for("nats://host")


def test_a_scheme_that_is_only_a_store_has_no_broker() -> None:
    with pytest.raises(KeyError, match="redis\\+cluster"):
        broker_for("redis+cluster://host")


def test_every_broker_has_a_harness_that_starts_it() -> None:
    assert set(HARNESSES) == {broker.name for broker in BROKERS}
