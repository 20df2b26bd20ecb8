"""A URL with a part that would not be used ends every command, and TLS that was asked for is TLS."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import Call, Result
from tests.support.tls import Listener, make_certificate

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


def test_files_are_looked_at_before_the_start(call: Call, tmp_path: Path) -> None:
    certificate, other = make_certificate(tmp_path), tmp_path / "other"
    other.mkdir()
    stranger = make_certificate(other)
    pipe, text = tmp_path / "pipe", tmp_path / "text"
    os.mkfifo(pipe)
    text.write_text("hunter2")
    file, key = certificate
    locked = tmp_path / "locked.pem"
    encrypt = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(encrypt, check=True)

    def refused(broker: str) -> str:
        result = call("config", broker_url=broker, store_url="redis://store")
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert SECRET not in result.err
        return result.err.strip()

    for options, why in {
        f"ssl_ca_certs={tmp_path}/none": "none', which can't be read (No such file or directory)",
        f"ssl_ca_certs={tmp_path}": "which is not a file",
        f"ssl_ca_certs={pipe}": "which is not a file",
        f"ssl_ca_certs={text}": "which holds no certificate",
        "ssl_ca_certs=hunter2": "ssl_ca_certs names a path that is not shown, which can't be read",
        f"ssl_certfile={file}": "which holds no key in PEM format",
        f"ssl_certfile={file}&ssl_keyfile={stranger.key}": "which holds the key of another certificate",
        f"ssl_certfile={file}&ssl_keyfile={locked}": "which holds a key with a passphrase",
        f"ssl_certfile={file}&ssl_keyfile={tmp_path}/none": "option ssl_keyfile names",
    }.items():
        assert why in refused(f"rediss://h?{options}")
        short = options.replace("ssl_ca_certs", "cafile").replace("ssl_", "")
        assert why.replace("ssl_ca_certs", "cafile").replace("ssl_", "") in refused(f"kafka+tls://h?{short}")
    line = refused("amqps://h?cafile=/none")
    assert line.endswith("takes cafile with a PEM file's path: authorities to trust instead of the system's")
    both = f"ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={key}"
    assert call("config", broker_url=f"rediss://h?{both}").code == 0
