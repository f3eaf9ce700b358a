"""What is written for users: pages, pictures, figures, archives; and where none of it may go.

A file is replaced only by one of its own kind, in one step, and what a run needs is never replaced.
Whether all that is so is asked before the work begins.
"""

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hinterland.core.errors import UserError
from hinterland.core.reading import is_there, open_regular
from hinterland.record.checkpoints import temporary, write_atomically
from hinterland.record.run_folder import is_taken

OWN = {
    "config.toml", "manifest.json", "metrics.jsonl", "summary.json", "replay.json", "study.toml",
    ".lock",
}  # fmt: skip
"""Files of runs and studies; only a run or a study itself writes them."""


def check_output(path: Path, *beginnings: bytes, own: bool = False, option: str = "--out") -> None:
    """Whether a file may be written there, as far as that can be known before.

    Args:
        path: the file to write.
        beginnings: what is there already must begin with one of these, or be empty.
        own: it is one of the run's own files.
        option: that names another file.

    Raises:
        UserError: a folder, a device, a file of another kind or one of a run's own is there, or
            its folder cannot be written.
    """
    advice, real = f"choose another file with {option}", _real(path)
    if not own:
        _check_not_own(path, real, advice)
    try:
        os.lstat(temporary(real))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UserError(f"could not write {path}: {error.strerror}; {advice}") from error
    if is_there(real):
        if not stat.S_ISREG(os.lstat(real).st_mode):
            raise UserError(f"{path} is there already and is no file; {advice}")
        with open_regular(real) as file:
            found = file.read(max(map(len, beginnings)))
        if found and not found.startswith(beginnings):
            raise UserError(f"{path} is there already and is of another kind; {advice}")
    _check_place(path, real.parent)


def check_new(path: Path) -> None:
    """Whether a new folder or archive may be written there.

    Raises:
        UserError: something is there, or its folder cannot be written.
    """
    if is_taken(path):
        raise UserError(f"--out {path}: already exists; choose another")
    _check_not_own(path, _real(path), "choose another --out")
    _check_place(path, _real(path).parent)


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no file can have this name ({error})") from None


def _is_of_ours(folder: Path) -> bool:
    return any(is_there(folder / name) for name in ("config.toml", "manifest.json", "study.toml"))


def _check_not_own(path: Path, real: Path, advice: str) -> None:
    if real.name in OWN and _is_of_ours(real.parent):
        raise UserError(f"{path} would be one of the run's own files; {advice}")
    if real.parent.name == "checkpoints" and _is_of_ours(real.parent.parent):
        raise UserError(f"{path} would lie among the run's checkpoints; {advice}")


def _check_place(path: Path, folder: Path) -> None:
    """Whether a file can be made in a folder that may not be there yet."""
    while not is_there(folder) and folder != folder.parent:
        folder = folder.parent
    if not os.path.isdir(folder):  # unlike Path's, it raises nothing
        raise UserError(f"could not write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"could not write {path}: {folder} cannot be written; give a place of yours with --out"
        )


def write_output(path: Path, content: bytes) -> Path:
    """Writes a file in one step, its folder included.

    Raises:
        UserError: it cannot be written; what was there is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_real(path), content, sync=False)
    except OSError as error:
        raise UserError(f"could not write {path}: {error.strerror or error}") from error
    return path


def write_files(path: Path, files: Mapping[str, str | Mapping[str, np.ndarray]]) -> None:
    """Writes files by name, text or arrays (.npz), into a new folder or .tar.gz, all or none.

    Raises:
        UserError: the path is taken, or cannot be written.
    """
    check_new(path)
    if path.name.endswith(".tar.gz"):
        write_output(path, _archive(files))
        return
    made = path.with_name(f".{path.name}.tmp")
    try:
        shutil.rmtree(made, ignore_errors=True)
        for name, content in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(_bytes(content))
        os.replace(made, path)
    except OSError as error:
        raise UserError(f"--out {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _archive(files: Mapping[str, str | Mapping[str, np.ndarray]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry, data = tarfile.TarInfo(name), _bytes(content)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _bytes(content: str | Mapping[str, np.ndarray]) -> bytes:
    if isinstance(content, str):
        return content.encode()
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **content)
    return packed.getvalue()
