"""The PEM files of a URL: its own options name them, or somebody beside it. Imports its neighbours alone."""

from collections.abc import Mapping
from urllib.parse import quote

from image_moderation.urls.options import Option
from image_moderation.urls.parse import Url, UrlError, parse, takes
from image_moderation.urls.tls import Unusable


class FileError(UrlError):
    """A file that a URL names can't be used."""

    def __init__(self, option: Option, path: str, unusable: Unusable) -> None:
        super().__init__(f"its option {option.name} names {shown(path)}, which {unusable.why}", takes(option))
        self.field = unusable.field
        """Of `urls.Tls`."""
        self.why = unusable.why


def add_files(text: str, files: Mapping[str, str]) -> str:
    """Return the URL `text` with these paths, by their field of `urls.Tls`, as its options.

    One that it names already isn't added.

    Raises:
        UrlError: `text` is no URL, or can't have them beside the options that it has.
    """
    url = parse(text)
    for field, path in files.items():
        option = url.scheme.files.get(field)
        if option is None:
            raise UrlError(f"{url.scheme.name}:// has no TLS")
        if getattr(url.tls, field) != path:
            text += f"{'&' if '?' in text else '?'}{option.name}={quote(path)}"
    parse(text)
    return text


def check_files(url: Url) -> None:
    """Check that the files that `url` names can be used.

    Raises:
        FileError: one can't.
    """
    if url.tls is None:
        return
    try:
        url.tls.context()
    except Unusable as error:
        field = error.field
        raise FileError(url.scheme.files[field], getattr(url.tls, field), error) from None


def shown(path: str) -> str:
    """Return a path for an error: it may be a secret that was put there by mistake."""
    return ascii(path) if path.startswith(("/", "./", "../")) else "a path that is not shown"
