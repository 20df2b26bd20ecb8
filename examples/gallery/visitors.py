"""Identifies visitors: a random cookie per browser, and the ids in reports that are derived from it.

Imports the standard library and starlette.
"""

import ipaddress
import re
import secrets
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "visitor"
_SECRET = re.compile(r"[A-Za-z0-9_-]{22}")
_YEAR = 365 * 24 * 3600


def visitor(request: Request) -> str:
    """Return the visitor's secret, or a new one. Call `remember` with the same request to set the cookie."""
    if not hasattr(request.state, "visitor"):
        known = request.cookies.get(_COOKIE, "")
        request.state.visitor = known if _SECRET.fullmatch(known) else secrets.token_urlsafe(16)
    return str(request.state.visitor)


def remember(request: Request, response: Response) -> None:
    """Set the cookie if the browser doesn't have it yet."""
    secret = visitor(request)
    if request.cookies.get(_COOKIE) != secret:
        response.set_cookie(
            _COOKIE,
            secret,
            max_age=_YEAR,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )


def reporter_id(secret: str) -> str:
    """Return the visitor's id for other programs; it doesn't reveal the secret of the session."""
    return "visitor-" + blake2b(secret.encode(), digest_size=12, person=b"reporter").hexdigest()


def own_device(secret: str) -> str:
    """Return the device that all fake accounts of a visitor share on the brigade page."""
    return "device-" + blake2b(secret.encode(), digest_size=12, person=b"device").hexdigest()


def network_group(address: str, key: bytes) -> str | None:
    """Return an opaque key of a visitor's network, or None for an invalid address.

    A household has a /64 of IPv6 and one address of IPv4. The digest is keyed, because without a key
    somebody could try all IPv4 addresses.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    network = ipaddress.ip_network((ip, 32 if ip.version == 4 else 64), strict=False)
    return "network-" + blake2b(str(network).encode(), digest_size=12, key=key).hexdigest()
