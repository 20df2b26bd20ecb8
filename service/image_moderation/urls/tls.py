"""How a connection over TLS proves who is who. Imports the standard library alone."""

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path


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
        """Read the files and return the context of a client.

        Raises:
            Unusable: a file is missing or holds something else.
        """
        for field in ("authorities", "certificate", "key"):
            _check_file(field, getattr(self, field))
        try:
            made = ssl.create_default_context(cafile=self.authorities)
        except ssl.SSLError:
            raise Unusable("authorities", "holds no certificate in PEM format") from None
        if self.certificate is not None:
            try:
                made.load_cert_chain(self.certificate, self.key, password=_refuse_passphrase)
            except (ssl.SSLError, _Passphrase) as error:
                why = (
                    "a key with a passphrase"
                    if isinstance(error, _Passphrase)
                    else "no pair of certificate and key"
                )
                raise Unusable("certificate", f"gives {why} in PEM format") from None
        made.check_hostname = self.check_hostname and self.verify
        if not self.verify:
            made.verify_mode = ssl.CERT_NONE
        return made


class Unusable(ValueError):
    """A file can't be used."""

    def __init__(self, field: str, why: str) -> None:
        """`field` is that of `Tls`; `why` follows the file's name in a sentence."""
        super().__init__(why)
        self.field = field


class _Passphrase(Exception):
    """A key is encrypted; without this OpenSSL would ask at the terminal."""


def _refuse_passphrase() -> str:
    raise _Passphrase


def _check_file(field: str, path: str | None) -> None:
    """A pipe or a device might never end, so it isn't opened."""
    if path is None:
        return
    try:
        regular = stat.S_ISREG(Path(path).stat().st_mode)
        if regular:
            Path(path).open("rb").close()
    except (OSError, ValueError) as error:
        raise Unusable(field, f"can't be read ({getattr(error, 'strerror', None) or 'not a path'})") from None
    if not regular:
        raise Unusable(field, "is not a file")
