"""Names that others chose: shown without what a terminal or a page would obey, and as file names.

What comes from a file or a command line may hold control characters, signs that turn the direction
of writing, halves of characters; and what becomes a part of a path may hold `/` and `..`.
"""

import re

LONGEST = 100
"""Bytes of a name that becomes a file's; file systems take 255, and others are added to it."""


def printable(text: str) -> str:
    """The text with all that has no picture of its own as escapes, such as \\x1b and \\u202e."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def as_file_name(text: str) -> str:
    """The text as a part of a file's name: letters, digits, `_`, `+`, `=` and single `-`.

    Two texts may give one name.
    """
    plain = re.sub(r"[^\w+=]+", "-", printable(text)).strip("-")
    return plain.encode()[:LONGEST].decode(errors="ignore") or "unnamed"
