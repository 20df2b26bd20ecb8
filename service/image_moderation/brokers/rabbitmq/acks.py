"""Acks in bulk: AMQP acks everything up to a delivery tag at once, where all of it is done."""

from weakref import WeakKeyDictionary

from aiormq.abc import AbstractChannel


class Acks:
    """What is done on each connection's channel. Tags count from 1 on every one."""

    def __init__(self) -> None:
        self._ledgers: WeakKeyDictionary[AbstractChannel, _Ledger] = WeakKeyDictionary()

    async def done(self, channel: AbstractChannel, tags: list[int]) -> None:
        """Ack these once nothing before them is left to do. A channel that was closed meanwhile has given
        them back already: they will come again and change nothing.
        """
        ledger = self._ledgers.setdefault(channel, _Ledger())
        up_to = ledger.add(tags)
        if up_to and not channel.is_closed:
            await channel.basic_ack(up_to, multiple=True)


class _Ledger:
    def __init__(self) -> None:
        self._acked = 0
        self._done: set[int] = set()

    def add(self, tags: list[int]) -> int:
        """Return the tag up to which all is done now, 0 where that has not moved."""
        self._done.update(tags)
        before = self._acked
        while self._acked + 1 in self._done:
            self._acked += 1
            self._done.discard(self._acked)
        return self._acked if self._acked > before else 0
