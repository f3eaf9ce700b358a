"""Standard streams that take whatever is said: on any terminal, closed, or on a full disk."""

import codecs
import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import Any

READABLE = "hinterland.readable"
"""Name of the error handler: what a terminal cannot show is written in letters that it can."""
LETTERS = {
    "±": "+/-", "×": "x", "·": "-", "…": "...", "→": "->", "–": "-", "—": "-", "µ": "u", "≠": "!=",
    "≤": "<=", "≥": ">=", "θ": "theta", "γ": "gamma", "λ": "lambda", "√": "sqrt", "Σ": "sum",
    "‹": "<", "›": ">", "½": "1/2", "“": '"', "”": '"', "‘": "'", "’": "'", "━": "-",
}  # fmt: skip


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(map(_in_letters, wrong)), error.end


def _in_letters(character: str) -> str:
    """As `±` is +/-, and `á` is a; anything else as Python writes it."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    escaped = character.encode("ascii", "backslashreplace").decode()
    return LETTERS.get(character) or plain or escaped


class _Notes(io.TextIOWrapper):
    """Standard error: a run is not worth losing because nobody can be told how far it is."""

    def write(self, text: str) -> int:
        """Writes, if that can be."""
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here for long."""
        with suppress(OSError, ValueError):
            super().flush()


def prepare() -> None:
    """For a process that runs one command: lines are written at once, closed streams say nothing.

    To be called before anything else opens a file, which would take a closed stream's number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
    if sys.stdout is None:
        sys.stdout = _stream(1)
    if sys.stderr is None:
        sys.stderr = _stream(2)
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding = sys.stderr.encoding
        sys.stderr = _Notes(sys.stderr.detach(), encoding, READABLE, line_buffering=True)  # type: ignore[arg-type]
    readable()


def _stream(number: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(number, "w")), "utf-8")


def readable() -> None:
    """Neither a terminal that knows ASCII only nor a name of odd bytes ends a command."""
    codecs.register_error(READABLE, _readable)
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=READABLE, line_buffering=True)


def no_more_output() -> None:
    """What could not be written to standard output is given up, also by Python at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
