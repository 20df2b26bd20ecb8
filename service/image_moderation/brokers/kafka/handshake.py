"""Why a Kafka broker's certificate is not taken. librdkafka says only that it isn't, whatever the reason."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from image_moderation.urls import Tls

TIMEOUT = 2.0
"""Seconds for one connection."""


def reason(settings: Mapping[str, Any]) -> str | None:
    """Try the TLS handshake with each server of `connection.client_settings`; return the first one's reason.

    None if none refused, or there is no TLS. Blocks.
    """
    if "ssl" not in settings["security.protocol"]:
        return None
    authorities = settings["ssl.ca.location"]
    tls = Tls(
        None if authorities == "probe" else authorities,
        settings.get("ssl.certificate.location"),
        settings.get("ssl.key.location"),
    )
    for address in settings["bootstrap.servers"].split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT) as connection:
                tls.context().wrap_socket(connection, server_hostname=host.strip("[]")).close()
        except ssl.SSLError as error:
            return f"{address}: {error}"
        except OSError:
            continue
    return None
