"""The arguments of each script: one typed value, whose fields are the script's ARGV in their order.

`signature.py` makes each field a local of the same name in the script. All times are milliseconds.
"""

from typing import Annotated, NamedTuple

AsText = Annotated[int, "left as text in the script"]
"""A number that the script only passes on to a command, which takes it as it came."""


class ApplyArguments(NamedTuple):
    """Of `scripts/apply/`."""

    now: int
    block_threshold: int
    report_window: int
    most_records: int
    """Records that a case holds before its spare ones are dropped; see `Policy.most_records`."""
    immunity: int
    review_threshold: int
    """0 without one."""
    review_grace: int
    """0 without one."""
    waiting_sets: bool
    """Whether the keys of withheld blocks and of reviews are given: an option needs them, or ticks do."""
    shadow: bool
    blocks_left: int | None
    """Automatic blocks that the breaker still lets pass; None without a breaker."""
    policy_hash: bytes
    open_until: AsText
    """When an open case expires."""
    decided_until: AsText
    """When a decided case expires."""
    sweep_at: AsText
    """From when on a sweep may publish a decision taken now."""
    retried: bool
    """Whether the batch may have been applied before."""
    outboxes: int
    """The number of the call's partitions, and so of its outboxes."""
    key_prefix: int
    """Bytes of a case's key before the image id."""
    events: bytes
    """Packed as `packing.EVENT` says."""
    traces: str
    """One traceparent an event, blanks for an event without; empty if no event has one."""
    reasons: tuple[str, ...]
    """The reasons that the events name, by their number from 1."""


class ClaimDueArguments(NamedTuple):
    """Of `scripts/claim_due.lua`."""

    now: AsText
    next_try: AsText
    """When the claimed members may be claimed again."""
    limit: AsText
    """Members at most."""


class ForgetArguments(NamedTuple):
    """Of `scripts/forget.lua`."""

    image: str
    remembered: AsText
    """Milliseconds for which the time of the latest decision is kept."""


class DeliverArguments(NamedTuple):
    """Of `scripts/deliver.lua`."""

    oldest_kept: AsText | None
    """Entries of the streams before this time are trimmed; None trims nothing."""
    publications: tuple[bytes, ...]
    """For each decision its outbox member, then its event's JSON."""
