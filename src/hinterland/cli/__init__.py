"""The command line; the only room that prints."""

from hinterland.cli.main import main

__all__ = ["main"]
