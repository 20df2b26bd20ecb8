"""What a test may do with a broker, beside the service: start, kill, publish and look, without FastStream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Features:
    """Where brokers really differ. Everything else is the same for all, and tested so."""

    survives_kill: bool
    """What was confirmed is still there after a SIGKILL of the server and a restart."""
    keeps_what_was_read: bool
    """An event can be read again by whoever comes later, so `watch --from-start` can be served."""
    counts_deliveries: bool
    """Every message carries its own count; otherwise it is always 1."""
    keeps_repeats_out: bool
    """An event published twice under one id within a minute is there once."""
    refuses_unroutable: bool
    """A publication that nobody is bound for is refused."""
    stamps_arrival: bool
    """Each message carries the time at which the broker took it."""
    own_position: bool
    """Each message has a place of its own in the channel, so two alike are told apart."""
    removes_single_letters: bool
    """A removed dead letter is gone for good at once."""
    trims: bool
    """The service itself removes reports that every group has acked."""
    loses: tuple[str, ...] = ()
    """What `Harness.lose` can take away from a running service, and the service makes anew."""


class Found(NamedTuple):
    """A message as any client of the broker sees it."""

    body: bytes
    headers: Mapping[str, str]


class Harness(Protocol):
    """One broker's server on loopback, for one test session; `fresh` empties it for each test.

    Calls are synchronous and return once the server has confirmed. Ends everything it started by its id.
    """

    name: str
    features: Features

    @property
    def url(self) -> str:
        """For MODERATION_BROKER_URL; the same after a restart."""

    @property
    def commands_url(self) -> str:
        """The same for the commands: of another user, where the server has users."""

    @property
    def site_url(self) -> str:
        """The same for the site's own programs, which know no user."""

    @property
    def port(self) -> int:
        """Where the server listens on 127.0.0.1."""

    def url_at(self, port: int) -> str:
        """For MODERATION_BROKER_URL by way of another port, such as a proxy's."""

    def fresh(self) -> None:
        """Start the server if it isn't running, and remove every stream, queue, topic and group."""

    def kill(self) -> None:
        """SIGKILL the server. Its data stays where `features.survives_kill`."""

    def restart(self) -> None:
        """Start the killed server again, on the same address and data; return once it answers."""

    def suspend(self) -> None:
        """SIGSTOP the server: it hangs with open connections until `resume`."""

    def resume(self) -> None:
        """Let it go on."""

    def close(self) -> None:
        """End the server for good."""

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish as some producer of the site's would who knows only the contract, also before the
        service has ever started: declares what a producer has to.
        """

    def read(self, channel: str) -> list[Found]:
        """All that was published on an outgoing channel since `fresh`, oldest first, as a consumer would
        have been given it. May be called again and again.
        """

    def unbind(self, channel: str) -> None:
        """Remove what `fresh` bound for `read`, where publications need somebody bound; else nothing."""

    def bind(self, channel: str) -> None:
        """Bind it again."""

    def waiting(self, channel: str) -> int:
        """Messages of an incoming channel that the service's group has not acked, as the server counts."""

    def kept(self, channel: str) -> int:
        """Messages of an incoming channel that the server still has, read or not."""

    def lose(self, what: str) -> None:
        """Take one of `features.loses` away, as a mistaken operator would, for the channel of reports."""
