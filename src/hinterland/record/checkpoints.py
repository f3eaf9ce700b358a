"""Checkpoint files: arrays by name in the safetensors format, with a checksum, written atomically.

A file appears under its name only when it is complete and on the disk, so that a process killed at
any moment leaves the previous checkpoint or the new one, never half of one.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hinterland.core.errors import UserError
from hinterland.core.reading import MB, open_regular, parse_json

FORMAT = 1
HEADER_SIZE = 16 * MB
"""Bytes of names, shapes and metadata: a hundred thousand arrays."""
NAME = re.compile(r"step-([0-9]{12,})\.safetensors")
MARKS = ("format", "sha256", "meta_sha256")
TYPES = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign or 'i'}{bits}".upper() for sign in ("", "u")
       for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
}  # fmt: skip

unfinished: set[Path] = set()
"""Half files of this process, for who ends it at once."""


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def _meta_digest(meta: Mapping[str, Any]) -> str:
    """SHA-256 of what the writer was given as metadata."""
    given = {name: value for name, value in meta.items() if name not in MARKS}
    given = json.loads(json.dumps(given))  # as a reader gets it: keys are strings, tuples are lists
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


def temporary(path: Path) -> Path:
    """Where a file lies until it is complete."""
    return path.with_name(f".{path.name}.tmp")


def write_atomically(path: Path, *content: bytes | memoryview, sync: bool = True) -> None:
    """Replaces the file in one step; a reader sees the old or the new content, piece after piece.

    Args:
        path: the file.
        content: its pieces.
        sync: wait until the disk has it, so that it survives the machine's end too.

    Raises:
        OSError: it could not be written; the old file is untouched and nothing is left over.
    """
    made = temporary(path)
    unfinished.add(made)
    try:
        with open(made, "wb") as file:
            for piece in content:
                file.write(piece)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:  # Ctrl-C too: the next run could not tell whose half file this is
        made.unlink(missing_ok=True)
        raise
    finally:
        unfinished.discard(made)
    if not sync:
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Writes arrays of any shape (bool, integers, float32/64) and JSON metadata.

    Raises:
        OSError: see `write_atomically`.
    """
    whole = {}
    for name, array in arrays.items():
        native = np.asarray(array, np.asarray(array).dtype.newbyteorder("="))
        # ascontiguousarray turns a scalar into a vector; the shape is part of the promise.
        whole[name] = np.ascontiguousarray(native).reshape(native.shape)
    marks = {"format": FORMAT, "sha256": _digest(whole), "meta_sha256": _meta_digest(meta)}
    stamp = json.dumps({**meta, **marks})
    # The library's writer copies all arrays twice, which is most of the memory of a large run;
    # the format is a length, a JSON header, and the arrays' bytes one after another.
    header: dict[str, Any] = {"__metadata__": {"hinterland": stamp}}
    end = 0
    for name, array in whole.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    bodies = (array.reshape(-1).view(np.uint8).data for array in whole.values())
    write_atomically(path, len(text).to_bytes(8, "little") + text, *bodies)


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, metadata) of a checkpoint file.

    Raises:
        UserError: the file is missing, cut short, altered, or was not written by Hinterland.
    """
    import safetensors
    import safetensors.numpy

    # What is read becomes memory: a sparse file may claim more than there is.
    with open_regular(path, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) as file:
        header = int.from_bytes(file.read(8), "little")
        if header > min(HEADER_SIZE, os.fstat(file.fileno()).st_size):
            raise UserError(
                f"checkpoint {path} is damaged or no checkpoint: a header of {header} bytes"
            )
    try:
        with safetensors.safe_open(path, framework="np") as file:
            stamp = (file.metadata() or {}).get("hinterland")
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    # TypeError: the file holds a type of numbers that NumPy does not know, such as bfloat16.
    # OverflowError: an empty array with a length beyond 64 bits.
    except (OSError, safetensors.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise UserError(f"checkpoint {path} is damaged or no checkpoint: {error}") from error
    try:
        meta = parse_json(stamp or "")
        known, digest = meta["format"], meta["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a checkpoint of Hinterland") from error
    if known != FORMAT:
        raise UserError(
            f"checkpoint {path} has format {str(known)[:20]}; this version reads {FORMAT}"
        )
    # The first checkpoints of format 1 had no checksum of their metadata.
    if digest != _digest(arrays) or meta.get("meta_sha256", right := _meta_digest(meta)) != right:
        raise UserError(f"checkpoint {path} is damaged: its checksum does not fit")
    return arrays, meta


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies: zeros in front, so that names sort like steps."""
    return folder / f"step-{step:012d}.safetensors"


def steps_in(folder: Path) -> list[int]:
    """Steps of all checkpoints of a folder, oldest first; files of other names are not ours.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from error
    return sorted(int(found[1]) for name in names if (found := NAME.fullmatch(name)))


def read_step(folder: Path, step: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, metadata) of one checkpoint of a folder.

    Raises:
        UserError: see `read_checkpoint`; or its metadata are not those of a run, or the file holds
            another step than its name says.
    """
    from hinterland.record import models

    path = checkpoint_path(folder, step)
    arrays, meta = read_checkpoint(path)
    models.check(models.Checkpoint, meta, path)
    if meta["step"] != step:
        raise UserError(f"checkpoint {path} was renamed: it holds step {meta['step']}")
    return arrays, meta


def way_back(folder: Path, damaged: int) -> str:
    """What to do about a damaged checkpoint: an older one is named only if it is intact."""
    for older in reversed([step for step in steps_in(folder) if step < damaged]):
        with contextlib.suppress(UserError):
            read_step(folder, older)
            return f"delete {checkpoint_path(folder, damaged)} to continue from step {older}"
    return "no older checkpoint is intact, so start the run again with another --out"
