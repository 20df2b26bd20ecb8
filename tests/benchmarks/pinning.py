"""Keeps the server on one core and its clients on another, so that they don't take turns on one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER = {CORES[0]} if len(CORES) > 1 else set()
CLIENT = {CORES[1]} if len(CORES) > 1 else set()
"""Empty where there is only one core, or the system can't pin."""


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Start processes on these cores alone: a process inherits its parent's cores."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
