"""The policy: the settings of the rule that turns a case into a decision. The rule is `domain/rules`."""

from dataclasses import dataclass
from hashlib import sha256

from image_moderation.domain.clock import DAY


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured rule. Durations in milliseconds; 0 is off."""

    block_threshold: int = 5
    report_window: int = 30 * DAY
    """The longest span of reports that count together."""
    immunity: int = 30 * DAY
    """How long after a moderator cleared an image no report counts."""
    review_threshold: int = 0
    review_grace: int = 0
    """How long a block waits after a review was requested."""
    urgent_reasons: frozenset[str] = frozenset()
    """The first report with one of these reasons requests a review."""
    max_blocks_per_hour: int = 0
    shadow: bool = False
    """Decide, but publish no decision and block no case."""

    @property
    def hash(self) -> str:
        """Short and stable: the same settings give the same eight hex digits in every version."""
        facts = f"block_threshold={self.block_threshold}\nreport_window={self.report_window}\n"
        # A setting at its default is left out, so that an option added later changes no hash.
        standard = Policy()
        for name in ("immunity", "review_threshold", "review_grace", "max_blocks_per_hour", "shadow"):
            if getattr(self, name) != getattr(standard, name):
                facts += f"{name}={getattr(self, name)}\n"
        if self.urgent_reasons:
            facts += f"urgent_reasons={','.join(sorted(self.urgent_reasons))}\n"
        return sha256(facts.encode()).hexdigest()[:8]

    @property
    def asks_reviews(self) -> bool:
        """True if any option can request a review."""
        return bool(
            self.review_threshold or self.review_grace or self.urgent_reasons or self.max_blocks_per_hour
        )

    @property
    def most_records(self) -> int:
        """Records that a case holds before tombstones and spare members of a group are dropped."""
        return 8 * self.block_threshold + 64
