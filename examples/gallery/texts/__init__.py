"""The texts of the pages in English and French, and the choice of a visitor's language.

Imports the standard library, markupsafe, starlette and `typography`.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from markupsafe import Markup
from starlette.requests import Request

from examples.gallery.typography import typeset

LANGUAGES: Mapping[str, str] = {"en": "English", "fr": "Français"}
"""Language names by code, each in its own language; the first is the default."""

AS_WRITTEN = ("thanks",)
"""Texts that the site's owner has worded, to the letter: typography leaves them alone."""

_COOKIE = "lang"
_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


class Texts:
    """The texts of one language."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        return self._texts[key].format(**values)

    def html(self, key: str, **values: object) -> Markup:
        """Return the text with its values escaped, unless they are HTML, as those of `moment` and `day`."""
        return Markup(self._texts[key]).format(**values)  # noqa: S704 - our own text; values are escaped

    def known(self, prefix: str, name: str) -> str:
        """Return the text for a name from an event, or the name itself: the contract's enums are open."""
        return self._texts.get(f"{prefix}_{name}", name)

    def span(self, span: timedelta) -> str:
        """Return a duration in the largest unit that divides it."""
        seconds = max(round(span.total_seconds()), 1)
        size, unit = next(one for one in _UNITS if seconds % one[0] == 0)
        number = seconds // size
        return self(f"{unit}_{'1' if number == 1 else 'n'}", n=number)

    def moment(self, at: datetime) -> Markup:
        """Return date and time in UTC as an element, which a script shows in the visitor's time zone."""
        return _time(at, "moment", "%Y-%m-%d %H:%M:%S UTC")

    def day(self, at: datetime) -> Markup:
        """Return the date like `moment`."""
        return _time(at, "day", "%Y-%m-%d")


def _time(at: datetime, precision: str, form: str) -> Markup:
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-as="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), precision, utc.strftime(form)
    )


def load() -> dict[str, Texts]:
    """Return the texts of all languages. Raises ValueError if one of them lacks a text."""
    raw = {
        language: tomllib.loads((files(__package__) / f"{language}.toml").read_text("utf-8"))
        for language in LANGUAGES
    }
    everywhere = {key for texts in raw.values() for key in texts}
    for language, texts in raw.items():
        if lacking := everywhere - set(texts):
            raise ValueError(f"{language}.toml lacks {', '.join(sorted(lacking))}")
    return {
        language: Texts(
            language,
            {key: text if key in AS_WRITTEN else typeset(text, language) for key, text in texts.items()},
        )
        for language, texts in raw.items()
    }


def language_of(request: Request) -> str:
    """Return the language of the query, else of the cookie, else the browser's preference."""
    for wish in (request.query_params.get("lang", ""), request.cookies.get(_COOKIE, "")):
        if wish in LANGUAGES:
            return wish
    return preferred(request.headers.get("accept-language", ""))


def chosen(request: Request) -> str | None:
    """Return the language of the query, which is then stored in the cookie."""
    wish = request.query_params.get("lang")
    return wish if wish in LANGUAGES else None


def preferred(header: str) -> str:
    """Return the preferred language of an Accept-Language header; of equal ones, the first."""
    best, best_quality = next(iter(LANGUAGES)), 0.0
    for item in header.split(","):
        tag, _, parameter = item.partition(";")
        language = tag.strip().lower().partition("-")[0]
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameter) if parameter else None
        weight = float(quality[1]) if quality else float(not parameter)
        if language in LANGUAGES and weight > best_quality:
            best, best_quality = language, weight
    return best
