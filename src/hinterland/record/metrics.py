"""metrics.jsonl: one JSON object a line, appended while the run lives, cut when it is resumed."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.core.reading import is_there, parse_json, read_bytes
from hinterland.record.checkpoints import write_atomically

LARGEST = 1e100
"""Of figures: beyond every float32; sums and squares of them are still numbers."""


def _pieces(path: Path) -> tuple[list[bytes], bool]:
    """(lines without their ends, whether the last one lacks its end); no file has no lines.

    Raises:
        UserError: it cannot be read, or is no file.
    """
    if not is_there(path):
        return [], False
    from hinterland.record.models import METRICS_SIZE

    pieces = read_bytes(path, METRICS_SIZE).split(b"\n")
    torn = pieces[-1] != b""
    return (pieces, True) if torn else (pieces[:-1], False)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines; one that a kill tore off before its end is left out, a missing file has none.

    Raises:
        UserError: any complete line is damaged (it names the line), or the file cannot be read.
    """
    from hinterland.record.models import Line, why_not

    found = []
    pieces, torn = _pieces(path)
    for number, piece in enumerate(pieces, 1):
        try:
            line = parse_json(piece)
            if why := why_not(Line, line):
                raise ValueError(why)
        except ValueError as error:
            if number == len(pieces) and torn:
                break
            raise UserError(
                f"{path} is damaged in line {number} ({error}); mend or delete that line"
            ) from error
        found.append(line)
    return found


def append_metrics(
    path: Path, step: int, wall_s: float, phase: str, values: Mapping[str, Any]
) -> None:
    """Appends one line and hands it to the system; what is beyond `LARGEST` becomes null.

    Raises:
        OSError: it could not be written; the file is as it was.
    """
    plain = {name: float(value) for name, value in values.items()}
    finite = {name: x if abs(x) <= LARGEST else None for name, x in plain.items()}
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


def check_lines(path: Path, lines: int) -> None:
    """Whether the first `lines` lines are there; of a file deleted on purpose they need not be.

    Raises:
        UserError: the file is damaged, or has fewer lines.
    """
    there = len(read_metrics(path))
    if is_there(path) and there < lines:
        raise UserError(
            f"{path} has {there} lines but its checkpoint was written after {lines}; put the whole "
            "file back, or delete it to continue without the earlier metrics"
        )


def cut_metrics(path: Path, lines: int) -> int:
    """Keeps the first `lines` lines, to the byte, in one step; how many there are then.

    Raises:
        UserError: see `check_lines`.
        OSError: it could not be written; the file is as it was.
    """
    check_lines(path, lines)
    pieces, torn = _pieces(path)
    kept = pieces[:lines]
    if torn or len(kept) < len(pieces):
        write_atomically(path, b"".join(piece + b"\n" for piece in kept))
    return len(kept)


def sync_metrics(path: Path) -> None:
    """Waits until the lines are on the disk.

    Raises:
        OSError: the disk refuses them.
    """
    if path.exists():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
