"""The two families of failure, decided here and nowhere else.

Data that can't be understood raises `events.parse.Malformed`: the message becomes a dead letter.
Infrastructure that fails raises `Unavailable`: wait and try again, ack nothing.
"""


class Unavailable(Exception):
    """A server can't be used now. The call may have taken effect; repeat it."""


class StoreUnavailable(Unavailable):
    """The store can't be reached, or refuses the call for now."""


class BrokerUnavailable(Unavailable):
    """The broker can't be reached, or refuses the call for now."""


class Misconfigured(Exception):
    """A server must not be used as it is configured: one line for the operator, no retry."""


class Unsupported(Exception):
    """This broker can't do that at all: one line for the operator, no retry."""
