"""A URL with a part that would not be used ends every command, and TLS that was asked for is TLS."""

import pytest

from tests.support.command_line import Call, Result
from tests.support.tls import Listener

SECRET = "hunter2"
COMMANDS = (
    ("serve",),
    ("report", "img-42"),
    ("review", "img-42", "--verdict", "upheld"),
    ("watch",),
    ("inspect", "img-42"),
    ("blocked",),
    ("republish", "img-42"),
    ("forget", "img-42", "--yes"),
    ("dead-letters", "list"),
    ("config",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_refuses_what_it_would_not_use(call: Call, command: tuple[str, ...]) -> None:
    broker = f"nats://me:{SECRET}@localhost?tls=true"
    store = f"redis+cluster://:{SECRET}@localhost?ssl=true"
    assert call(*command, broker_url=broker, store_url=store) == Result(
        2,
        "",
        "MODERATION_BROKER_URL: got a value that is not shown "
        "(it has an option tls that nats:// does not take); takes TLS by its scheme: nats+tls://\n"
        "MODERATION_STORE_URL: got a value that is not shown "
        "(it has an option ssl that redis+cluster:// does not take); takes TLS by its scheme: rediss+cluster://\n",
    )


@pytest.mark.parametrize("command", COMMANDS[1:4], ids=lambda command: command[0])
def test_nats_without_tls_gets_nothing_from_a_command(call: Call, command: tuple[str, ...]) -> None:
    info = b'INFO {"version":"2.10.0","max_payload":1048576,"auth_required":true}\r\n'
    with Listener(greeting=info) as listener:
        url = f"nats+tls://me:{SECRET}@127.0.0.1:{listener.port}"
        result = call(*command, broker_url=url, store_url="redis://127.0.0.1:1")
    assert (result.code, result.out) == (1, "")
    assert "the server offers no TLS, so nothing was sent to it" in result.err
    assert result.err.count("\n") == 1
    assert not any(listener.received)
