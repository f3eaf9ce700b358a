"""What travels between processes of a run, and what becomes of it at the other end.

A message holds a function by name, arrays as they lie in memory, and a domain as its name and
options: it is made anew where it is needed, with its own simulators' processes.
"""

import hashlib
import importlib
import importlib.metadata
import io
import platform
import socket
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import jax
import numpy as np

from hinterland import __version__
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.domains.registry import source_of
from hinterland.runtime.local import keep_programs, use_32_bits

SAME_EVERYWHERE = ("jax", "jaxlib", "numpy", "equinox", "optax")
"""Packages that decide bits of a result."""


class Settings(NamedTuple):
    """Of the process that started the run, for those that work for it."""

    versions: tuple[tuple[str, str], ...]
    compiled: str | None
    """Folder of compiled programs, where it can be made."""


def settings() -> bytes:
    """Of this process, as a message: whoever has another package could not read anything else."""
    return dumps(Settings(versions(), jax.config.values["jax_compilation_cache_dir"]))


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """What must be the same everywhere, for results to be."""
    return (
        ("hinterland", f"{__version__} (source {_digest()})"),
        ("Python", platform.python_version()),
        *((name, importlib.metadata.version(name)) for name in SAME_EVERYWHERE),
    )


def _digest() -> str:
    """Of this package's source: two checkouts may call themselves the same version."""
    package = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:8]


def dumps(thing: Any) -> bytes:
    """A message."""

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if (source := source_of(value)) is not None:
                return _domain, source
            if isinstance(value, _JITTED) and _is_named(value):
                # Else its code would travel, and be compiled anew wherever it arrives.
                return _named, (value.__module__, value.__qualname__)
            return super().reducer_override(value)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=5).dump(jax.tree.map(_plain, thing))
    return buffer.getvalue()


_JITTED = type(jax.jit(lambda: None))


def _is_named(function: Any) -> bool:
    module = sys.modules.get(function.__module__)
    return (
        function.__module__ != "__main__"
        and getattr(module, function.__qualname__, None) is function
    )


def _named(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _plain(leaf: Any) -> Any:
    """NumPy in place of JAX's arrays: as large on the wire as in memory."""
    if isinstance(leaf, jax.Array) and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(leaf)
    return leaf


def size_mb(thing: Any) -> float:
    """Its arrays, in MB (10^6 bytes)."""
    return sum(np.asarray(x).nbytes for x in jax.tree.leaves(thing)) / 1e6


@cache
def _domain(name: str, agents: int, options: tuple[tuple[str, Any], ...]) -> Any:
    """One object for all units of a process: programs are compiled for it once."""
    return load_domain(name, agents, dict(options))


def entry() -> Callable[..., Any]:
    """What a worker runs, sent as code: it can speak where our package is another, or missing.

    It takes our version, "module:function" of ours, and the function's arguments; and returns
    (this node's name, the version found there, the result).
    """

    def unit(version: str, target: str, *arguments: Any) -> tuple[str, str | None, Any]:
        import importlib
        import socket

        try:
            found = importlib.import_module("hinterland").__version__
        except ImportError:
            found = None
        if found != version:
            return socket.gethostname(), found, None
        blaming = importlib.import_module("hinterland.core.blame").blaming
        module, _, name = target.partition(":")
        function = getattr(importlib.import_module(module), name)
        with blaming(f"node {socket.gethostname()}"):  # its frames would not travel
            return socket.gethostname(), found, function(*arguments)

    return unit


def resident() -> type:
    """The same for a process that keeps something between two calls; functions get it first."""
    unit = entry()

    class Resident:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def call(self, version: str, target: str, *arguments: Any) -> tuple[str, str | None, Any]:
            return unit(version, target, self.kept, *arguments)

    return Resident


@cache
def prepare(message: bytes) -> None:
    """Makes this process, a worker's, work as the one whose settings these are.

    Raises:
        UserError: something has another version here.
    """
    told: Settings = loads(message)
    for (name, theirs), (_, ours) in zip(told.versions, versions(), strict=True):
        if theirs != ours:
            raise UserError(
                f"the node {socket.gethostname()} has {name} {ours}, the run has {theirs}: install "
                "the same versions on all nodes"
            )
    # On CPUs only: one unit, one core, the same bits.
    jax.config.update("jax_platforms", "cpu")
    use_32_bits()
    if told.compiled is not None:
        keep_programs(told.compiled)


def work(told: bytes, program: bytes, own: bytes, *common: bytes | None) -> Any:
    """One unit: a function, and its arguments, which are its own or those of several units.

    Args:
        told: see `prepare`.
        program: the function.
        own: its arguments; None in place of those that are
        common: to several units.
    """
    prepare(told)
    parts = zip(loads(own), common, strict=True)
    arguments = [loads(y) if y is not None else x for x, y in parts]
    return jax.tree.map(np.asarray, _program(program)(*jax.device_put(arguments)))


class Shard:
    """A function of one agent [1, ...], for several agents, one after another."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, stacked: Any, *common: Any) -> Any:
        """Results stacked on the agent axis, in NumPy."""
        plain = jax.tree.map(np.asarray, stacked)  # views, of which slices cost nothing
        done = []
        for i in range(jax.tree.leaves(plain)[0].shape[0]):
            one = jax.device_put(jax.tree.map(lambda x, i=i: x[i : i + 1], plain))
            done.append(jax.tree.map(np.asarray, self._function(one, *common)))
        return jax.tree.map(lambda *x: np.concatenate(x), *done)


def loads(message: bytes) -> Any:
    """What `dumps` was given; JAX's arrays as NumPy's."""
    return cloudpickle.loads(message)


@lru_cache(maxsize=64)
def _program(message: bytes) -> Callable[..., Any]:
    """The same object for the same message: what it has compiled stays."""
    return loads(message)
