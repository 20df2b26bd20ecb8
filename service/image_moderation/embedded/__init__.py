"""A private Valkey or Redis server, for the one-command start and for tests.

Imports the standard library and redis alone.
"""

from image_moderation.embedded.engine import (
    EmbeddedError,
    Engine,
    PortTaken,
    default_data_dir,
    find_engine,
    find_engines,
)
from image_moderation.embedded.server import EmbeddedRedis

__all__ = [
    "EmbeddedError",
    "EmbeddedRedis",
    "Engine",
    "PortTaken",
    "default_data_dir",
    "find_engine",
    "find_engines",
]
