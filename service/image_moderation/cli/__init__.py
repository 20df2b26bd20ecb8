"""The command line: one module a command, joined here."""

from image_moderation.cli.main import main

__all__ = ["main"]
