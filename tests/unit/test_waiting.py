"""The helpers that watch that nothing happens: a test that leans on them must be able to fail."""

import time
from collections.abc import Callable

import pytest

from tests.support.waiting import stays_true_for, stays_true_for_async


def until(moment: float) -> Callable[[], bool]:
    return lambda: time.monotonic() < moment


def test_what_stays_true_is_watched_for_the_whole_time() -> None:
    begun = time.monotonic()
    stays_true_for(lambda: True, 0.05, "true")
    assert time.monotonic() - begun >= 0.05


def test_what_ends_is_found() -> None:
    with pytest.raises(AssertionError, match=r"not for 5 s: it goes on"):
        stays_true_for(until(time.monotonic() + 0.03), 5, "it goes on")


def test_what_is_false_from_the_start_is_found_in_no_time() -> None:
    with pytest.raises(AssertionError, match="never true"):
        stays_true_for(lambda: False, 0, "never true")


async def test_what_ends_is_found_by_a_plain_and_by_an_async_predicate() -> None:
    ends = until(time.monotonic() + 0.03)

    async def goes_on() -> bool:
        return ends()

    with pytest.raises(AssertionError, match="it goes on"):
        await stays_true_for_async(goes_on, 5, "it goes on")
    with pytest.raises(AssertionError, match="it goes on"):
        await stays_true_for_async(ends, 5, "it goes on")


async def test_what_stays_true_is_watched_without_holding_up_the_loop() -> None:
    begun = time.monotonic()
    await stays_true_for_async(lambda: True, 0.05, "true")
    assert time.monotonic() - begun >= 0.05
