"""Sets what was written on a keyboard as a printer would. Imports the standard library alone."""

import re


def typeset(text: str, language: str) -> str:
    """Typographic apostrophes, and for French the spaces that no line may break at."""
    text = text.replace("'", "\u2019")
    if language != "fr":
        return text
    text = re.sub(r" ([!?;])", "\u202f\\1", text)  # narrow before these, by the Imprimerie nationale
    text = re.sub(r" ([:»])", "\u00a0\\1", text)
    text = text.replace("« ", "«\u00a0")
    return re.sub(r"([\d}]) (?=jours|heures|minutes|secondes|s\b)", "\\1\u00a0", text)
