"""Text from elsewhere, made safe to show to a person."""


def plain(text: object) -> str:
    """Return `text` on one line, with every character escaped that could change how the line is read.

    These are control characters and line breaks, those without a width, and those that turn the direction of
    writing: the general categories of Unicode that `str.isprintable` leaves out.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
