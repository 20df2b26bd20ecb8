"""The command line: one module a command, joined here."""

from service.cli.main import main

__all__ = ["main"]
