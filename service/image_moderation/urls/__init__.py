"""The URLs of brokers and stores: what each scheme takes (`schemes`, `options`), and the parser of them.

Stands below the settings, the brokers, the store's client and the AsyncAPI document, which all need it.
Imports the standard library alone.
"""

from image_moderation.urls.files import FileError, add_files, check_files, shown
from image_moderation.urls.parse import Url, UrlError, mask_address, parse
from image_moderation.urls.schemes import BROKER_SCHEMES, BROKERS, SCHEMES, STORE_SCHEMES, Scheme, scheme_of
from image_moderation.urls.tls import FILES, Tls

__all__ = [
    "BROKERS",
    "BROKER_SCHEMES",
    "FILES",
    "SCHEMES",
    "STORE_SCHEMES",
    "FileError",
    "Scheme",
    "Tls",
    "Url",
    "UrlError",
    "add_files",
    "check_files",
    "mask_address",
    "parse",
    "scheme_of",
    "shown",
]
