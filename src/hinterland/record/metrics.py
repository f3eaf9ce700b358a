"""metrics.jsonl: one JSON object a line, appended while the run lives, cut when it is resumed."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.record.checkpoints import write_atomically


def _pieces(path: Path) -> list[bytes]:
    """The lines without their ends; a file that ends as it should has no empty last piece."""
    try:
        pieces = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    return pieces[:-1] if pieces[-1] == b"" else pieces


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines; one that a kill tore off before its end is left out, a missing file has none.

    Raises:
        UserError: any complete line is damaged (it names the line), or the file cannot be read.
    """
    found = []
    pieces = _pieces(path)
    for number, piece in enumerate(pieces, 1):
        try:
            line = json.loads(piece)
            if not isinstance(line, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            if number == len(pieces) and is_torn(path):
                break
            raise UserError(
                f"{path} is damaged in line {number} ({error}); mend or delete that line"
            ) from error
        found.append(line)
    return found


def is_torn(path: Path) -> bool:
    """Whether the last line has no end, so that an appended line would run into it."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read() not in (b"\n", b"")
    except FileNotFoundError:
        return False


def append_metrics(
    path: Path, step: int, wall_s: float, phase: str, values: Mapping[str, Any]
) -> None:
    """Appends one line and hands it to the system; values that are not finite become null.

    Raises:
        OSError: it could not be written; the file is as it was.
    """
    plain = {name: float(value) for name, value in values.items()}
    finite = {name: x if math.isfinite(x) else None for name, x in plain.items()}
    line = {"step": int(step), "wall_s": round(float(wall_s), 3), "phase": phase, **finite}
    size = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
    except OSError:
        # A full disk takes the first half of a line. Giving that back needs no room.
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        raise


def cut_metrics(path: Path, lines: int) -> None:
    """Keeps the first `lines` lines, to the byte, in one step.

    Raises:
        UserError: the file is damaged, or has fewer lines.
        OSError: it could not be written; the file is as it was.
    """
    there = len(read_metrics(path))
    if path.exists() and there < lines:
        raise UserError(
            f"{path} has {there} lines but its checkpoint was written after {lines}; put the whole "
            "file back, or delete it to continue without the earlier metrics"
        )
    kept = _pieces(path)[:lines]
    write_atomically(path, b"".join(piece + b"\n" for piece in kept))


def sync_metrics(path: Path) -> None:
    """Waits until the lines are on the disk.

    Raises:
        OSError: the disk refuses them.
    """
    if path.exists():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
