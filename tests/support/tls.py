"""Certificates, and listeners on loopback that keep what they are sent."""

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from tests.support.servers import missing


class Certificate(NamedTuple):
    """One for `localhost` and 127.0.0.1 that has signed itself, so it is its own authority."""

    file: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def make_certificate(folder: Path) -> Certificate:
    openssl = shutil.which("openssl") or missing("openssl")
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *curve, *name, "-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run(command, check=True, capture_output=True)
    return made


class Authority:
    """Signs certificates of one folder, for servers and for those who connect to them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._openssl = shutil.which("openssl") or missing("openssl")
        self._own = Certificate(folder / "ca.pem", folder / "ca.key")
        out = ("-keyout", self._own.key, "-out", self._own.file)
        self._run("req", "-x509", *_NEW, "-days", "2", *out, "-subj", "/CN=the tests' authority")

    @property
    def file(self) -> Path:
        """Its own certificate, which says whom to trust."""
        return self._own.file

    def sign(self, name: str, *hosts: str, expired: bool = False) -> Certificate:
        """Return a certificate for these hosts (`DNS:…` or `IP:…`), by default for localhost by its name."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        names = ",".join(hosts or ("DNS:localhost",))
        extensions.write_text(f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n")
        self._run("req", "-new", *_NEW, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        by = ("-CA", self._own.file, "-CAkey", self._own.key, "-days", "-1" if expired else "2")
        self._run("x509", "-req", "-in", request, *by, "-extfile", extensions, "-out", made.file)
        return made

    def _run(self, *arguments: object) -> None:
        subprocess.run([self._openssl, *map(str, arguments)], check=True, capture_output=True)


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Listener:
    """Accepts every connection, and keeps what it is sent, decrypted where it speaks TLS.

    A context manager. It says `greeting` first, in clear text. The first bytes that it is sent it answers
    with an error in clear text, or where it speaks TLS with nothing; then it hangs up.
    """

    def __init__(
        self, *, greeting: bytes = b"", context: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.received: list[bytes] = []
        """What each connection was sent."""
        self.refused = 0
        """Connections whose client ended the TLS handshake."""
        self._greeting, self._context = greeting, context
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # Closing alone would not wake the thread that waits for a connection.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(2)
            with suppress(OSError), connection:  # what a client sends or how it leaves is its own affair
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(self._greeting)
        if self._context is not None:
            try:
                over_tls = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                self.refused += 1
                raise
            with over_tls:
                self.received.append(over_tls.recv(65_536))
            return
        self.received.append(connection.recv(65_536))
        connection.sendall(b"-ERR this server speaks clear text\r\n")
