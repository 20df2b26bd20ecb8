"""Says in words why a server gave no result. The client libraries name the same few causes in many ways."""

import re
from collections.abc import Iterator
from enum import StrEnum


class Cause(StrEnum):
    """Why a server gave no result: how the line about it begins. The one that explains most comes first."""

    AUTHENTICATION = "authentication failed"
    PERMISSION = "permission denied"
    TLS = "TLS failed"
    ADDRESS = "the host name can't be resolved"
    REFUSED = "connection refused"
    TIMEOUT = "no answer in time"
    MEMORY = "the server's memory is full"
    DISK = "the server can't write to its disk"
    READ_ONLY = "the server takes no writes"
    LOADING = "the server is loading its data"
    CLUSTER = "the Cluster does not serve all slots"


_SIGNS = {
    # Kinds of errors, or words of the server: redis-py; nats-py; aiormq; librdkafka
    Cause.AUTHENTICATION: r"\bAuth(entication|orization)Error\b|\bAuthorization Violation\b"
    r"|\bProbableAuthenticationError\b|_AUTHENTICATION(_FAILED)?\b|\blogin refused\b",
    Cause.PERMISSION: r"\bNoPermissionError\b|(?i:permissions violation)|\bChannelAccessRefused\b"
    r"|_AUTHORIZATION_FAILED\b",
    Cause.TLS: r"\bSSL\w*Error\b|\[SSL: |\b_SSL\b|\bSSL_HANDSHAKE\b|\bSSL routines\b|\bTLS failed\b"
    r"|\bTLS handshake\b|\bno TLS\b|\bTLS was not\b",
    Cause.ADDRESS: r"\bgaierror\b|\bName or service not known\b|\bFailed to resolve\b",
    Cause.REFUSED: r"\bConnectionRefusedError\b|\bConnection refused\b",
    Cause.TIMEOUT: r"\bTimeoutError\b|_TIMED_OUT\b",
    # Of Redis alone, in the words of the server: 6.2 has them within the error of a script.
    Cause.MEMORY: r"\bOutOfMemoryError\b|\bOOM\b",
    Cause.DISK: r"\bMISCONF\b",
    Cause.READ_ONLY: r"\bReadOnlyError\b|\bREADONLY\b|\bNOREPLICAS\b|\bMASTERDOWN\b|\bMasterDownError\b",
    Cause.LOADING: r"\bBusyLoadingError\b|\bLOADING\b",
    Cause.CLUSTER: r"\bClusterDownError\b|\bCLUSTERDOWN\b|\bSlotNotCoveredError\b"
    r"|\bAll slots are not covered\b",
}
_WANTS_ANOTHER = "the server wants a certificate of an authority that it knows"
_HINTS = {
    # redis-py's, whose TLS handshake a plain server doesn't answer
    r"^Timeout connecting to server$": "it may also be that one side speaks TLS and the other does not",
    # librdkafka's, of a server that hung up
    r"Broker transport failure$": "it may be that one side speaks TLS and the other does not",
    # TLS's own alerts, which the server sends
    r"alert (bad certificate|certificate|handshake failure|unknown ca)": _WANTS_ANOTHER,
    r"self.signed certificate|unable to get (local )?issuer": "no authority that is trusted has signed it",
    # aiormq's, while it connects
    r"^Server connection reset": "the server hung up; it may be that it wants TLS, or a certificate",
    r"wrong version number|record layer failure": "the server speaks no TLS on this port",
}
"""What stands behind an error that says little."""


def explain(error: BaseException, kind: str = "") -> str:
    """Return one line for an operator: the cause, where it is known, and the text of the error.

    `kind` names the error, by default its class.
    """
    text = " ".join(str(error).split())
    hint = next((hint for sign, hint in _HINTS.items() if re.search(sign, text)), None)
    if hint is not None:
        text += f"; {hint}"
    signs = "\n".join([kind, *(_signs(one) for one in _chain(error))])
    cause = next((str(cause) for cause, sign in _SIGNS.items() if re.search(sign, signs)), "")
    known = cause or kind or type(error).__name__
    return f"{known}: {text}" if text else known if cause else f"{known}: {Cause.TIMEOUT}"


def _signs(error: BaseException) -> str:
    """Return what may tell the cause: the names of the error's classes, and its text."""
    return f"{' '.join(kind.__name__ for kind in type(error).__mro__)} {error}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and those that it was raised from."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
