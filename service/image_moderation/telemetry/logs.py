"""Logging: structlog and the standard library's loggers through one chain, to standard error.

Standard output is for the results of commands. Payloads are never logged: tracebacks are without their
frames' variables, which would contain them.
"""

import io
import logging
import sys
import threading
from collections.abc import Mapping
from typing import TextIO

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from image_moderation.domain.text import plain

_LIBRARIES = (
    "faststream",
    "faststream.access",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "redis",
    "asyncio",
)

log = structlog.get_logger(__name__)


def configure(level: str = "info", format: str | None = None, stream: TextIO | None = None) -> None:  # noqa: A002
    """Route every log line of this process to `stream` (default: standard error). May be called again.

    `level` is `debug` to `critical`; `format` is `json` (a line each), `console`, or None: console where
    `stream` is a terminal, else JSON. FastStream and uvicorn add handlers when they are imported; this
    removes those that are there, so call it after the imports. Give FastStream's brokers
    `logging.getLogger("faststream")`, or they add a handler at their start.
    """
    stream = stream or sys.stderr
    console = not is_json(format, stream)
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _flatten,
    ]
    render = _console(stream) if console else _json()
    # Straight to the stream: through the standard library a line costs several times as much, and at full
    # load there are thousands of decisions a second.
    structlog.configure(
        processors=[*shared, *render],
        logger_factory=lambda *names: _StreamLogger(stream, *names),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A module's logger is made at import, before this call; a cached one would keep the defaults.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    logging.captureWarnings(capture=True)


def is_json(format: str | None, stream: TextIO | None = None) -> bool:  # noqa: A002
    """Return whether `configure` with these arguments writes JSON."""
    return format == "json" or (format is None and not (stream or sys.stderr).isatty())


def log_uncaught() -> None:
    """Log each error that nobody catches, also in threads and finalizers: Python would print a traceback."""
    sys.excepthook = lambda _kind, error, _traceback: _uncaught(error)
    threading.excepthook = lambda failure: _uncaught(failure.exc_value)
    sys.unraisablehook = lambda failure: _uncaught(failure.exc_value)


def _uncaught(error: BaseException | None) -> None:
    try:
        raise error or RuntimeError("unknown")
    except BaseException:
        log.exception("uncaught")


class _StreamLogger(structlog.WriteLogger):
    """Writes lines to one stream under a name."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        super().__init__(stream)
        self.name = name


def _json() -> list[Processor]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(_dumps),
    ]


def _dumps(event: EventDict, **_: object) -> str:
    return to_json(event, fallback=repr).decode()


def _console(stream: TextIO) -> list[Processor]:
    # The renderer's default is Rich's traceback, which prints the frames' variables.
    return [
        _escape,
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_plain_traceback),
    ]


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what texts from elsewhere could do to a terminal. Other values are shown by their `repr`."""
    return {plain(name): plain(value) if isinstance(value, str) else value for name, value in event.items()}


def _plain_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    written = io.StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    # Indented, so that a line break in an error's text can't begin a line that looks like another event.
    stream.write("\n".join(f"  {plain(line)}" for line in written.getvalue().split("\n")))


def _flatten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Move the fields that FastStream puts into `extra` to the top level, unless a name is taken."""
    extra = event.pop("extra", None)
    if isinstance(extra, Mapping):
        for name, value in extra.items():
            event.setdefault(name, value)
    elif extra is not None:
        event["extra"] = extra
    event.pop("color_message", None)  # uvicorn's message again, with escape codes
    return event
