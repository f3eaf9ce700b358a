"""The frame of every page: one file, no network."""

import html
from importlib import resources
from pathlib import Path

from hinterland.core.names import printable
from hinterland.record import write_output

PAGE = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'
"""How every page of ours begins, and so what a page of ours may replace."""


def document(title: str, body: str) -> str:
    """A whole page around a body."""
    style = resources.files("hinterland.report").joinpath("page.css").read_text("utf-8")
    return (
        f"{PAGE}{html.escape(printable(title))}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<style>\n{style}</style></head><body>\n{body}\n</body></html>\n"
    )


def write_text(out: Path, text: str) -> Path:
    """Writes a file, its folder included.

    Raises:
        UserError: it cannot be written; what was there is untouched.
    """
    return write_output(out, text.encode())
