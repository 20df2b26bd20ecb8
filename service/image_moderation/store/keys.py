"""Every key of the store, and when each expires.

- `<prefix>:{pNN}:case:<image id>`: one image's case; expires once nothing could make it count again.
- `<prefix>:{pNN}:outbox`: decisions not yet published; no TTL: a decision stays until it is published.
- `<prefix>:{pNN}:due`: images whose block waits; expires with the latest of their cases.
- `<prefix>:{pNN}:reviews`: images with an unanswered review; likewise.
- `<prefix>:{pNN}:confirmed`: written before each confirmation (`durability.py`); expires a minute later.
- `<prefix>:breaker`: the automatic blocks of the last hour; expires two hours after the latest.
- `<prefix>:reporter-key`: the digests' key or its fingerprint; no TTL: without it no reporter is recognised.
"""

from zlib import crc32

PARTITIONS = 64
"""Never changes: it decides the key of every case."""


def partition_of(image_id: bytes) -> int:
    """Return the partition that an image belongs to."""
    return crc32(image_id) % PARTITIONS


class Keys:
    """Key names under one prefix, as bytes."""

    def __init__(self, prefix: str) -> None:
        self.breaker = f"{prefix}:breaker".encode()
        self.reporter_key = f"{prefix}:reporter-key".encode()
        self.any_case = f"{prefix}:{{p*}}:case:*".encode()
        self.outboxes = tuple(f"{prefix}:{{p{n:02}}}:outbox".encode() for n in range(PARTITIONS))
        self.due = tuple(f"{prefix}:{{p{n:02}}}:due".encode() for n in range(PARTITIONS))
        self.reviews = tuple(f"{prefix}:{{p{n:02}}}:reviews".encode() for n in range(PARTITIONS))
        self.case_prefixes = tuple(f"{prefix}:{{p{n:02}}}:case:".encode() for n in range(PARTITIONS))

    def case(self, image_id: bytes) -> bytes:
        """Return the key of an image's case."""
        return self.case_prefixes[partition_of(image_id)] + image_id

    def outbox(self, image_id: bytes) -> bytes:
        """Return the key of the outbox that holds an image's decisions."""
        return self.outboxes[partition_of(image_id)]

    def confirmed(self, key: bytes) -> bytes:
        """Return the key of the write before a confirmation, in the partition of a partition's `key`."""
        return key[: key.index(b"}") + 1] + b":confirmed"
