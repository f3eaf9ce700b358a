"""The one door for what lies on disk: regular files only, of a bounded size, in a known form.

Whoever edits, sends or loses a file must get a sentence: no device fills the memory, no FIFO hangs,
no number is larger than what a computer's own numbers hold.
"""

import json
import math
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from hinterland.core.errors import UserError

MB = 1_000_000
DEEPEST = 64
"""Lists and tables within one another; nothing of ours has more than six."""
WHOLE = range(-(2**63), 2**63)
"""Whole numbers, as the TOML standard bounds them."""


def is_there(path: Path) -> bool:
    """Whether the name is taken, by a thing of whatever kind; a name that cannot be is not.

    Where it may not be known, it is: who goes on to read is told why he cannot.
    """
    try:
        os.lstat(path)
    except PermissionError:
        return True
    except (OSError, ValueError):  # too long, a NUL byte, behind a file
        return False
    return True


def open_regular(path: Path, limit: int | None = None) -> BinaryIO:
    """A regular file, open for reading.

    Args:
        path: where it lies; a link is followed.
        limit: bytes that it may have; None: any number.

    Raises:
        UserError: it is missing, larger, may not be read, or is something else.
    """
    try:
        # Without O_NONBLOCK a FIFO would wait here for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:
        raise UserError(f"{path}: no file can have this name ({error})") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device, a pipe or a socket"
        raise UserError(f"{path} is {what}, not a file")
    if limit is not None and found.st_size > limit:
        os.close(descriptor)
        raise UserError(_too_large(path, limit))
    return open(descriptor, "rb")


def read_bytes(path: Path, limit: int) -> bytes:
    """A whole file.

    Raises:
        UserError: see `open_regular`; or it grew above the limit meanwhile.
    """
    with open_regular(path, limit) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > limit:
        raise UserError(_too_large(path, limit))
    return content


def _too_large(path: Path, limit: int) -> str:
    return f"{path} is too large: a file of its kind has at most {limit / MB:,.0f} MB"


def read_as(parse: Callable[[bytes], Any], path: Path, limit: int) -> Any:
    """What a file says, as `parse_json` or `parse_toml` has it.

    Raises:
        UserError: see `read_bytes`; or the file is damaged.
    """
    content = read_bytes(path, limit)
    try:
        return parse(content)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def parse_json(content: bytes | str) -> Any:
    """What JSON text says.

    Raises:
        ValueError: it is none, names something twice, is nested too deeply, or holds a number that
            is not finite or has more than 64 bits.
    """
    text = content if isinstance(content, str) else content.decode("utf-8")
    numbers: Any = {"parse_int": _whole, "parse_float": _finite, "parse_constant": _finite}
    return _bounded(lambda: json.loads(text, object_pairs_hook=_once, **numbers))


def parse_toml(content: bytes) -> dict[str, Any]:
    """What TOML text says.

    Raises:
        ValueError: as of `parse_json`.
    """
    try:
        return _bounded(lambda: tomllib.loads(content.decode("utf-8"), parse_float=_finite))
    except ValueError as error:
        raise ValueError(f"not a TOML file: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} is there twice")
    return found


def _whole(text: str) -> int:
    if len(text) > 20 or (value := int(text)) not in WHOLE:
        raise ValueError(f"the whole number {text[:20]}... has more than 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _bounded(parse: Callable[[], Any]) -> Any:
    """What is parsed, if it is not too deep and its whole numbers are not too large."""
    try:
        found = parse()
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    _check(found)
    return found


def _check(found: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    # TOML's hexadecimal numbers have no limit in Python, but writing them out has.
    if isinstance(found, int) and found not in WHOLE:
        raise ValueError("a whole number has more than 64 bits")
    if isinstance(found, dict | list):
        for one in found.values() if isinstance(found, dict) else found:
            _check(one, depth + 1)
