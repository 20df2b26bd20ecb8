"""The PEM files that variables name beside a URL.

They become options of that URL, so that whoever connects has one place to look for them.
"""

from collections.abc import Iterator, Mapping

from image_moderation.settings.environment import Found, variable
from image_moderation.urls import (
    BROKER_SCHEMES,
    STORE_SCHEMES,
    FileError,
    Url,
    UrlError,
    add_files,
    check_files,
    parse,
    shown,
)

ENDS = {"ca": "authorities", "cert": "certificate", "key": "key"}
"""How the variable's name ends, and its field of `urls.Tls`."""
CERTIFICATES = tuple(f"{side}_{end}" for side in ("broker", "store") for end in ENDS)
"""The fields of the settings."""
MEANINGS = {
    "ca": "the authorities to trust instead of the system's",
    "cert": "the service's own certificate",
    "key": "that certificate's key, without a passphrase",
}


def files_of(side: str, values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the files of `side`, `broker` or `store`, by their field of `urls.Tls`.

    `values` are by their field of the settings.
    """
    found = {field: values.get(f"{side}_{end}") for end, field in ENDS.items()}
    return {field: path for field, path in found.items() if path is not None}


def faults(found: Found) -> Iterator[tuple[str, str]]:
    """Yield each field of the settings whose file can't be used, with its line.

    A URL that is at fault itself is passed over.
    """
    broker, store = found.values.get("broker_url"), found.values.get("store_url")
    if broker is not None:
        yield from _of_url("broker", broker, BROKER_SCHEMES, found)
    if store is not None:
        yield from _of_url("store", store, STORE_SCHEMES, found)
    elif broker is not None:
        yield from _of_no_url(broker, found)


def _of_url(side: str, text: str, schemes: tuple[str, ...], found: Found) -> Iterator[tuple[str, str]]:
    try:
        url = parse(text, schemes)
    except UrlError:
        return
    files = files_of(side, found.values)
    misplaced = dict(_misplaced(side, url, files))
    yield from misplaced.items()
    if misplaced:
        return
    try:
        check_files(parse(add_files(text, files)))
    except FileError as error:
        end = next(end for end, field in ENDS.items() if field == error.field)
        if error.field in files:
            yield _line(side, end, files, f"which {error.why}", f"the path of a PEM file: {MEANINGS[end]}")
        else:
            name = f"{side}_url"
            yield name, f"{found.name(name)}: got a value that is not shown ({error}); takes {error.takes}"


def _misplaced(side: str, url: Url, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what doesn't fit the URL."""
    name, secure = variable(f"{side}_url"), url.scheme.over_tls
    for end, field in ENDS.items():
        if field not in files:
            continue
        other = {"certificate": "key", "key": "certificate"}.get(field)
        if url.tls is None:
            takes = f"off, or {name} with {secure.name}://" if secure else "off"
            yield _line(side, end, files, f"but {url.scheme.name}:// has no TLS", takes)
        elif getattr(url.tls, field) not in (None, files[field]):
            option = url.scheme.files[field].name
            yield _line(side, end, files, f"but {name} has another in its option {option}", "one of the two")
        elif field == "authorities" and not url.tls.verify:
            yield _line(side, end, files, f"but {name} has ssl_cert_reqs=none", "one of the two")
        elif other and other not in files and getattr(url.tls, other) is None:
            beside = variable(f"{side}_{next(end for end, one in ENDS.items() if one == other)}")
            yield _line(side, end, files, f"but no {other}", f"{beside} beside it, or off")


def _of_no_url(broker: str, found: Found) -> Iterator[tuple[str, str]]:
    """Yield the store's files that aren't the broker's, whose connections are the store's."""
    try:
        url = parse(add_files(broker, files_of("broker", found.values)), BROKER_SCHEMES)
    except UrlError:
        return
    files = files_of("store", found.values) if url.scheme.store else {}
    for end, field in ENDS.items():
        if field in files and files[field] != getattr(url.tls, field, None):
            name = variable("store_url")
            takes = f"{variable(f'broker_{end}')}, or {name} beside it"
            yield _line("store", end, files, f"but {name} is unset, so the store is the broker", takes)


def _line(side: str, end: str, files: Mapping[str, str], why: str, takes: str) -> tuple[str, str]:
    name = f"{side}_{end}"
    return name, f"{variable(name)}: got {shown(files[ENDS[end]])}, {why}; takes {takes}"
