"""How a connection over TLS proves who is who. Imports the standard library alone."""

import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FILES = ("authorities", "certificate", "key")
"""The fields of `Tls` that are files."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificates of one URL; each file by its path."""

    authorities: str | None = None
    """Those who may sign the server's certificate; None for the system's."""
    certificate: str | None = None
    """The service's own, for servers that ask for one."""
    key: str | None = None
    """The certificate's key; None if the certificate's file holds it as well."""
    verify: bool = True
    """Whether the server must have a certificate of one of the authorities."""
    check_hostname: bool = True
    """Whether that certificate must be the named host's."""

    def context(self) -> ssl.SSLContext:
        """Read the files and return the context of a client. It reads them again once they have changed.

        Raises:
            Unusable: a file is missing or holds something else.
        """
        return _RenewedContext(self._read, self._state)

    def _read(self) -> ssl.SSLContext:
        for field in FILES:
            path = getattr(self, field)
            if path is not None:
                _check_file(field, path)
        try:
            made = ssl.create_default_context(cafile=self.authorities)
        except ssl.SSLError:
            file = self.authorities or "the system's"
            raise Unusable("authorities", file, "holds no certificate in PEM format") from None
        if self.certificate is not None:
            self._load_own(made, self.certificate)
        made.check_hostname = self.check_hostname and self.verify
        if not self.verify:
            made.verify_mode = ssl.CERT_NONE
        return made

    def _load_own(self, context: ssl.SSLContext, certificate: str) -> None:
        field, file = ("certificate", certificate) if self.key is None else ("key", self.key)
        try:
            context.load_cert_chain(certificate, self.key, password=_refuse_passphrase)
        except _Passphrase:
            raise Unusable(field, file, "holds a key with a passphrase") from None
        except ssl.SSLError as error:
            # OpenSSL has one word for a file of another kind and for a part that is missing.
            if b"-----BEGIN CERTIFICATE-----" not in Path(certificate).read_bytes():
                raise Unusable("certificate", certificate, "holds no certificate in PEM format") from None
            mismatch = error.reason == "KEY_VALUES_MISMATCH"
            why = "holds the key of another certificate" if mismatch else "holds no key in PEM format"
            raise Unusable(field, file, why) from None

    def _state(self) -> list[tuple[int, ...]]:
        """Return what differs once a file was written anew, or a link leads to another, as in Kubernetes."""
        found: list[tuple[int, ...]] = []
        for field in FILES:
            path = getattr(self, field)
            if path is not None:
                try:
                    file = os.stat(path)  # noqa: PTH116 - at every connection, where a Path costs more
                    found.append((file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns))
                except OSError:
                    found.append(())
        return found


class Unusable(ssl.SSLError):
    """A file can't be used. An SSLError, because that may happen while the service runs."""

    def __init__(self, field: str, path: str, why: str) -> None:
        """`field` is that of `Tls`; `why` follows the file's name in a sentence."""
        super().__init__(f"{path!a} {why}")
        self.field = field
        self.why = why

    def __str__(self) -> str:
        return str(self.args[0])


class _RenewedContext(ssl.SSLContext):
    """Before each connection it looks whether a file has changed, and reads them again if so.

    Event loops ask a context for nothing but `wrap_bio`.
    """

    def __new__(cls, *_: Any) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, read: Callable[[], ssl.SSLContext], state: Callable[[], object]) -> None:
        self._read, self._state = read, state
        self._known = state()
        self._current = read()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As the standard library's.

        Raises:
            Unusable: a file has changed, and can't be used now.
        """
        return self._renewed().wrap_bio(*args, **kwargs)

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """The same for a blocking connection."""
        return self._renewed().wrap_socket(*args, **kwargs)

    def _renewed(self) -> ssl.SSLContext:
        state = self._state()
        if state != self._known:
            self._current, self._known = self._read(), state
        return self._current


class _Passphrase(Exception):
    """A key is encrypted; without this OpenSSL would ask at the terminal."""


def _refuse_passphrase() -> str:
    raise _Passphrase


def _check_file(field: str, path: str) -> None:
    """A pipe or a device might never end, so it isn't opened."""
    try:
        regular = stat.S_ISREG(Path(path).stat().st_mode)
        if regular:
            Path(path).open("rb").close()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise Unusable(field, path, f"can't be read ({why})") from None
    if not regular:
        raise Unusable(field, path, "is not a file")
