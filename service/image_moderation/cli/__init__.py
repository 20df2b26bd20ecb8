"""The command line: one module for each command, joined in `main`."""

from image_moderation.cli.main import main

__all__ = ["main"]
