"""Says in plain words why a value or a JSON text was refused, in place of the libraries' own sentences."""

from pydantic_core import ErrorDetails

from image_moderation.events.fields import PATTERNS

_WORDS = {
    "missing": "is missing",
    "string_type": "is not text",
    "string_unicode": "is not Unicode text",
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length:,} characters",
    "string_pattern_mismatch": "{pattern}",
    "literal_error": "takes {expected}",
    "dict_type": "is not an object",
    "int_parsing": "is not a whole number",
    "greater_than_equal": "takes {ge:,} or more",
    "value_error": "{error}",
}
"""The words for each of pydantic's kinds of error that the models and the command line can raise."""

_JSON = {
    "EOF while parsing a ": "it ends within a ",
    "control character (\\u0000-\\u001F) found while parsing a string": "a control character in a string",
    "expected value": "a value was expected",
    "expected ident": "a value was expected",
    "recursion limit exceeded": "it is nested too deeply",
    "trailing characters": "more text after its end",
}
"""Words for what the JSON reader says; the rest of its sentences are plain."""


def explain(detail: ErrorDetails) -> str:
    """Return what is wrong with one value, as the rest of a sentence that begins with its name.

    The value is not in it, unless the validator that refused it wrote it into its own error.
    """
    context = dict(detail.get("ctx", {}))
    if "pattern" in context:
        context["pattern"] = PATTERNS.get(context["pattern"], "is not valid")
    return _WORDS.get(detail["type"], "is not valid").format(**context)


def explain_json(error: ValueError) -> str:
    """Return why a text is not JSON, and where. Nothing of the text is in it."""
    text = str(error).partition("\n")[0][:200]
    for theirs, ours in _JSON.items():
        text = text.replace(theirs, ours)
    return text
