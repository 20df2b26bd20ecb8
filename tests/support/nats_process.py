"""A NATS server of a test's own, with whatever configuration."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.servers import free_port, missing
from tests.support.waiting import wait_until


@contextmanager
def nats_process(folder: Path, config: str = "", *, port: int | None = None) -> Iterator[int]:
    """Run Debian's server with JetStream and these lines; give its port."""
    program = shutil.which("nats-server") or missing("nats-server")
    number = port or free_port()
    path = folder / "server.conf"
    path.write_text(f'listen: "127.0.0.1:{number}"\njetstream {{ store_dir: "{folder}" }}\n{config}')
    process = subprocess.Popen([program, "-c", str(path), "-l", str(folder / "log")])

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", number)):
            return True
        return False

    try:
        wait_until(listens, "nats-server is up")
        yield number
    finally:
        process.terminate()
        process.wait()
