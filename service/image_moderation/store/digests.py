"""Who reported, as the store knows it: 8-byte keyed BLAKE2b digests."""

from hashlib import blake2b

from image_moderation.store.layout import DIGEST_BYTES, NO_GROUP


class Digests:
    """Digests of reporters and of groups, which never collide with each other by design."""

    def __init__(self, key: bytes) -> None:
        self._reporter = blake2b(key=key, digest_size=DIGEST_BYTES, person=b"reporter")
        self._group = blake2b(key=key, digest_size=DIGEST_BYTES, person=b"group")

    def reporter(self, reporter_id: str) -> bytes:
        """The reporter's digest. Copying a keyed hash saves keying it for every report."""
        state = self._reporter.copy()
        state.update(reporter_id.encode())
        return state.digest()

    def group(self, group: str | None) -> bytes:
        """The group's digest; eight zero bytes for none."""
        if group is None:
            return NO_GROUP
        state = self._group.copy()
        state.update(group.encode())
        return state.digest()


def fingerprint(key: bytes) -> bytes:
    """What may be stored to recognise a key without revealing it."""
    return blake2b(key=key, digest_size=16, person=b"fingerprint").hexdigest().encode()
