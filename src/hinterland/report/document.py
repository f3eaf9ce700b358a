"""The frame of every page: one file, no network."""

import html
from importlib import resources
from pathlib import Path

from hinterland.core.errors import UserError
from hinterland.record.checkpoints import write_atomically


def document(title: str, body: str) -> str:
    """A whole page around a body."""
    style = resources.files("hinterland.report").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<style>\n{style}</style></head><body>\n{body}\n</body></html>\n"
    )


def write_text(out: Path, text: str) -> Path:
    """Writes a file, its folder included.

    Raises:
        UserError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text.encode())
    except OSError as error:
        raise UserError(f"could not write {out}: {error.strerror}") from error
    return out
