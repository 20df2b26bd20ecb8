"""Replaces keyboard characters by typographic ones. Imports only the standard library."""

import re


def typeset(text: str, language: str) -> str:
    """Return the text with typographic apostrophes, and for French with no-break spaces."""
    text = text.replace("'", "\u2019")
    if language != "fr":
        return text
    text = re.sub(r" ([!?;])", "\u202f\\1", text)  # narrow before these, as the Imprimerie nationale requires
    text = re.sub(r" ([:»])", "\u00a0\\1", text)
    text = text.replace("« ", "«\u00a0")
    return re.sub(r"([\d}]) (?=jours|heures|minutes|secondes|s\b)", "\\1\u00a0", text)
