"""One writer per run folder: a lock that the system gives up when its process ends, however."""

import fcntl
import os
from pathlib import Path

from hinterland.core.errors import UserError


class Lock:
    """The lock of a run folder, held from when it is made.

    Args:
        folder: the run folder.

    Raises:
        UserError: another process holds it.
        OSError: the lock's file cannot be written, or the file system knows no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._descriptor, self._is_new = self._open()
        while not self._is_here():  # whoever held it took its file away
            os.close(self._descriptor)
            self._descriptor, self._is_new = self._open()

    def _open(self) -> tuple[int, bool]:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor, is_new = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o644), True
        except FileExistsError:
            descriptor, is_new = os.open(self._path, flags | os.O_CREAT, 0o644), False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"run folder {self._path.parent} is in use by another process; wait for it or "
                "choose another --out"
            ) from None
        except OSError:
            os.close(descriptor)
            if is_new:
                self._path.unlink()
            raise
        return descriptor, is_new

    def _is_here(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def release(self, keep_file: bool = True) -> None:
        """Gives it up; without `keep_file` no file stays that was not there before."""
        if not keep_file and self._is_new:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
