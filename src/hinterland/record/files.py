"""A folder, or an archive, of files that are made in memory."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hinterland.core.errors import UserError


def write_files(path: Path, files: Mapping[str, str | Mapping[str, np.ndarray]]) -> None:
    """Writes files by name, text or arrays (.npz), into a new folder or .tar.gz.

    Raises:
        UserError: the path is taken, or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"--out {path}: already exists; choose another")
    try:
        if path.name.endswith(".tar.gz"):
            with tarfile.open(path, "w:gz") as archive:
                for name, content in files.items():
                    entry, data = tarfile.TarInfo(name), _bytes(content)
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
            return
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(_bytes(content))
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}") from error


def _bytes(content: str | Mapping[str, np.ndarray]) -> bytes:
    if isinstance(content, str):
        return content.encode()
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **content)
    return packed.getvalue()
