"""A place for this process's temporary files, which is gone when it ends, however it ends.

Whoever starts a process names the folder for its temporary files and removes it afterwards, so that
a killed simulator leaves nothing. What a killed run leaves is removed by the next one.
"""

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from functools import cache
from pathlib import Path

from hinterland.core import UserError

PREFIX, LOCK = "hinterland-", ".lock"
YOUNG_S = 60
"""A folder younger than this may not be locked yet."""


class _Place:
    """A folder that goes with this object, at the latest with the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)


_adopted: list[_Place] = []


def adopt(folder: str) -> None:
    """This folder, made by whoever started this process, is its own and goes with it."""
    _adopted.append(_Place(Path(folder)))


def scratch() -> Path:
    """The folder.

    Raises:
        UserError: there is no place for temporary files.
    """
    return _adopted[0].path if _adopted else _own().path


def made() -> Path | None:
    """The folder, if there is one yet."""
    return _own().path if _own.cache_info().currsize else None


@cache
def _own() -> _Place:
    try:
        place = Path(tempfile.gettempdir())
        remove_abandoned(place)
        found = _Place(Path(tempfile.mkdtemp(prefix=PREFIX, dir=place)))
    except OSError as error:
        raise UserError(
            f"no temporary files can be made ({error.strerror or error}): set TMPDIR to a folder "
            "with room that can be written"
        ) from error
    # Held, and not closed, until the system closes it with the process.
    lock = os.open(found.path / LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return found


def remove_abandoned(place: Path) -> None:
    """What killed processes of ours have left there: nobody holds its lock any more."""
    for folder in place.glob(f"{PREFIX}*"):
        try:
            about = folder.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < YOUNG_S:
                continue
            lock = os.open(folder / LOCK, os.O_WRONLY | os.O_NOFOLLOW)
        except OSError:
            continue  # it is gone by now, or none of ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
