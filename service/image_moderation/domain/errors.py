"""The two families of failure, decided here and nowhere else.

Data that can't be understood raises `events.Malformed` and is parked. Infrastructure that is away
raises `Unavailable`: wait and try again, nothing is acked.
"""


class Unavailable(Exception):
    """A server can't do its part now. The call may or may not have taken effect; repeat it."""


class StoreUnavailable(Unavailable):
    """The store can't be reached or refuses to work."""


class BrokerUnavailable(Unavailable):
    """The broker can't be reached or refuses to work."""


class Misconfigured(Exception):
    """A server is there but must not be used as it is set up: one line for the operator, no retry."""


class Unsupported(Exception):
    """This broker has no way to do what was asked: one line for the operator, no retry."""
