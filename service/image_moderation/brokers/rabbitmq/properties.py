"""What producers wrote beside the body, read so that none of it can stop the reading.

The client decodes properties strictly, in the task that reads the connection: one id that isn't UTF-8, or one
timestamp beyond the year 9999, would end the connection, and so again after every redelivery.
"""

from pamqp.commands import Basic

_strictly = Basic.Properties.unmarshal


def read_leniently() -> None:
    """Make the client leave out what it can't decode, and what comes after it in the frame."""
    Basic.Properties.unmarshal = _leniently  # type: ignore[assignment, method-assign]  # no setting for it


def _leniently(properties: Basic.Properties, flags: int, data: bytes) -> None:
    try:  # noqa: SIM105 - the plainer and faster way in the busiest of places
        _strictly(properties, flags, data)
    except Exception:  # noqa: BLE001, S110 - of many kinds; and in the busiest of places
        pass
