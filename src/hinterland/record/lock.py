"""One writer per run folder: a lock that the system gives up when its process ends, however."""

import fcntl
import os
from pathlib import Path

from hinterland.core.errors import UserError


def take_lock(path: Path) -> int:
    """Locks a run folder; closing the returned file descriptor gives the lock up.

    Raises:
        UserError: another process holds it.
        OSError: the lock's file cannot be written, or the file system knows no locks.
    """
    lock = os.open(path / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(
            f"run folder {path} is in use by another process; wait for it or choose another --out"
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock
