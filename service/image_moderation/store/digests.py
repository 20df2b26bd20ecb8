"""Digests of reporters and groups, the only form in which they are stored: keyed BLAKE2b, 8 bytes."""

from hashlib import blake2b

from image_moderation.store.layout import DIGEST_BYTES, NO_GROUP


class Digests:
    """Digests of reporters and of groups. A reporter and a group of the same name have different ones."""

    def __init__(self, key: bytes) -> None:
        self._reporter = blake2b(key=key, digest_size=DIGEST_BYTES, person=b"reporter")
        self._group = blake2b(key=key, digest_size=DIGEST_BYTES, person=b"group")

    def reporter(self, reporter_id: str) -> bytes:
        """Return the reporter's digest. Copying a keyed hash saves keying it for every report."""
        state = self._reporter.copy()
        state.update(reporter_id.encode())
        return state.digest()

    def group(self, group: str | None) -> bytes:
        """Return the group's digest; eight zero bytes for none."""
        if group is None:
            return NO_GROUP
        state = self._group.copy()
        state.update(group.encode())
        return state.digest()


def fingerprint(key: bytes) -> bytes:
    """Return a digest that recognises the key without revealing it, so that it may be stored."""
    return blake2b(key=key, digest_size=16, person=b"fingerprint").hexdigest().encode()
