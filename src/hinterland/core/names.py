"""Names that others chose: shown without what a terminal or a page would obey, and as file names.

What comes from a file or a command line may hold control characters, signs that turn the direction
of writing, halves of characters; and what becomes a part of a path may hold `/` and `..`.
"""

import re
from typing import Any

LONGEST = 100
"""Bytes of a name that becomes a file's; file systems take 255, and others are added to it."""


def printable(text: str) -> str:
    """The text with all that has no picture of its own as escapes, such as \\x1b and \\u202e."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def all_printable(value: Any) -> Any:
    """A value as JSON and TOML have them, each text in it `printable`, names of entries too."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name)): all_printable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [all_printable(one) for one in value]
    return value


def as_file_name(text: str) -> str:
    """The text as a part of a file's name: letters, digits, `_`, `+`, `=` and single `-`.

    Two texts may give one name.
    """
    plain = re.sub(r"[^\w+=]+", "-", printable(text)).strip("-")
    return plain.encode()[:LONGEST].decode(errors="ignore") or "unnamed"


def why_no_name(text: str) -> str:
    """Why a text cannot be a folder's name as it is; empty if it can."""
    if not text.isprintable():
        return "has control characters"
    if not text.strip():
        return "is empty"
    if "/" in text or "\\" in text:
        return "has a slash: it is a name, not a path"
    if text[0] in ".-" or text != text.strip():
        return "begins with '.' or '-', or begins or ends with a space"
    if len(text.encode()) > LONGEST:
        return f"has more than {LONGEST} bytes"
    return ""
