"""Whose code raised: the user's own file and line, for errors that are not ours.

Needs no JAX, so that a host simulator's process and the command line can use it.
"""

import inspect
import os
import re
import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError

OURS = os.path.realpath(Path(__file__).parents[1]) + os.sep
STANDARD = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
)
PACKAGES = ("site-packages", "dist-packages")
LIBRARIES = frozenset(
    ("PIL", "absl", "cloudpickle", "equinox", "jax", "jaxlib", "jaxtyping", "matplotlib",
     "ml_dtypes", "numpy", "optax", "psutil", "pydantic", "pydantic_core", "ray", "rich",
     "safetensors", "scipy", "tomli_w")
)  # fmt: skip
"""Installed packages that we call ourselves: an error in them may be ours."""


def place_of(error: BaseException) -> tuple[str, int] | None:
    """(file, line) of the user's code that raised, or called what raised; None: nobody's but ours.

    The last frame in the user's own files; without one, the last frame of the installed package
    that was called from here, such as an environment's.
    """
    frames = _frames(error) + _told(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        frames.append((error.filename, error.lineno))
    own = [at for at in frames if _package(at[0]) == ""]
    theirs = [at for at in frames if _package(at[0]) not in (None, "", *LIBRARIES)]
    called = [at for at in theirs if _package(at[0]) == _package(theirs[0][0])]
    return (own or called or [None])[-1]


def blamed(error: BaseException, called: Any = None) -> str:
    """One line, such as "ValueError: wrong sign (my_domain.py, line 12)".

    The place is left out where nobody's code but ours is to blame; of a `UserError`, which is a
    sentence already, so is the type.

    Args:
        error: what was raised.
        called: the function that was called; the error of a call that never got into it, as with
            other arguments than it takes, gets the place of its first line.
    """
    lines = str(error).strip().splitlines() or [""]
    said, kind = lines[0], type(error).__name__
    if isinstance(error, SyntaxError) and error.msg:
        said = error.msg  # its text names the place itself
    if _told(error):
        last = max(i for i, line in enumerate(lines) if line.lstrip().startswith('File "'))
        said = next((line for line in lines[last + 1 :] if not line.startswith(" ")), said)
    elif not isinstance(error, UserError):
        said = f"{kind}: {said}" if said else kind
    return said + _at(place_of(error) or _first_line(called))


@contextmanager
def blaming(what: str, called: Any = None) -> Generator[None]:
    """Turns what the user's code raises in here into one sentence; what is ours passes through.

    A sentence of ours, such as of a bad `AgentSpec`, gets the place in the user's code.

    Args:
        what: was asked for, such as "domain 'mine:make'"; the sentence begins with it.
        called: as of `blamed`; with the user's own function nothing is ours.

    Raises:
        UserError: names the exception, and the user's file and line.
    """
    try:
        yield
    except UserError as error:
        last, _ = _frames(error)[-1]
        if _package(last) is not None or place_of(error) is None:
            raise  # the user's own words
        raise UserError(blamed(error)) from error
    except (Exception, SystemExit) as error:
        if place_of(error) is None and _first_line(called) is None:
            raise
        raise UserError(f"{what}: {blamed(error, called)}") from error


def defined_at(called: Any) -> str:
    """Where the user wrote a function, such as " (my_domain.py, line 12)"; "" if it is not his."""
    return _at(_first_line(inspect.unwrap(called)))


def _first_line(called: Any) -> tuple[str, int] | None:
    """Of a function of the user's own, a method, or an object that can be called."""
    called = called.__init__ if isinstance(called, type) else called
    called = getattr(called, "__func__", called)
    if not hasattr(called, "__code__"):
        called = vars(type(called)).get("__call__")
    code = getattr(called, "__code__", None)
    if code is None or _package(code.co_filename) != "":
        return None
    return code.co_filename, code.co_firstlineno


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """(file, line), from the outermost call to the innermost."""
    return [(x.f_code.co_filename, line) for x, line in traceback.walk_tb(error.__traceback__)]


def _told(error: BaseException) -> list[tuple[str, int]]:
    """The same of a traceback that is the error's text: XLA's, of a callback that raised."""
    _, _, text = str(error).partition("Traceback (most recent call last)")
    return [(file, int(line)) for file, line in re.findall(r'File "(.+?)", line (\d+)', text)]


def _package(file: str) -> str | None:
    """ "" for the user's own file, an installed package's name; None: ours, or Python's own."""
    if file.startswith("<"):  # frozen modules, and code that has no file
        return None
    path = os.path.realpath(file)
    if path.startswith(OURS):
        return None
    parts = Path(path).parts
    for folder in PACKAGES:
        if folder in parts:
            rest = parts[parts.index(folder) + 1 :]
            return rest[0].removesuffix(".py") if rest else None
    return None if path.startswith(STANDARD) else ""


def _at(place: tuple[str, int] | None) -> str:
    """The place in brackets, relative to the current folder if it is in there."""
    if place is None:
        return ""
    path, here = Path(os.path.realpath(place[0])), Path(os.path.realpath(Path.cwd()))
    return f" ({path.relative_to(here) if path.is_relative_to(here) else path}, line {place[1]})"
