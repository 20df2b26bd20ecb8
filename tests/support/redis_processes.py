"""Servers and Sentinels of a test's own, with whatever configuration."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image_moderation.embedded import Engine
from tests.support.servers import free_port
from tests.support.tls import Certificate
from tests.support.waiting import wait_until


@contextmanager
def redis_process(
    engine: Engine, folder: Path, *lines: str, sentinel: bool = False, certificate: Certificate | None = None
) -> Iterator[int]:
    """Run a server or a Sentinel with these lines of configuration; give its port, which may be over TLS."""
    port = free_port()
    place = folder / str(port)
    place.mkdir()
    ports = [f"port {port}"]
    if certificate is not None:
        files = [f"tls-cert-file {certificate.file}", f"tls-key-file {certificate.key}"]
        ports = ["port 0", f"tls-port {port}", *files, f"tls-ca-cert-file {certificate.file}"]
    config = place / "server.conf"
    config.write_text("\n".join(("bind 127.0.0.1", f"dir {place}", 'save ""', *ports, *lines, "")))
    log = place / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([engine.path, config, *(["--sentinel"] if sentinel else [])], stdout=out)
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return any(sign in log.read_text() for sign in ("Ready to accept connections", "Sentinel ID is"))

        wait_until(listens, "the server is up")
        yield port
    finally:
        process.terminate()
        process.wait(10)
