"""Finds the folder that serves a URL. Only that folder, and so only its client library, is imported."""

from importlib import import_module
from importlib.util import find_spec
from typing import cast

from image_moderation.brokers.port import Broker
from image_moderation.domain.errors import Misconfigured
from image_moderation.urls import scheme_of


def broker_for(url: str) -> Broker:
    """Return the broker that serves `url`.

    Raises:
        KeyError: no broker serves its scheme.
        Misconfigured: its client library is not installed.
    """
    scheme = scheme_of(url)
    broker = scheme.broker
    if broker is None:
        raise KeyError(scheme.name)
    # Asked beforehand, because an ImportError inside an installed client is another fault.
    if find_spec(broker.client) is None:
        raise Misconfigured(
            f"the broker needs a client library that is not installed ({broker.client}): "
            f"pip install '.[{broker.name}]' in a checkout of image-moderation"
        )
    return cast("Broker", import_module(f"{__package__}.{broker.name}"))
