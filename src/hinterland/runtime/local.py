"""All cores and devices of this machine.

Work is cut into units whose shapes do not depend on the machine (one agent, or one block of
episodes), and each unit is a compiled program on one device. Which device runs a unit, and when,
cannot change its result: one core and many give the same bits. On CPUs a device is a core: a thread
that leads its own unit. JAX has one CPU device for all of them, so that they run the same program,
compiled once; a network's weights stay in a core's cache while its agent trains.
"""

import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from itertools import cycle, islice
from typing import Any

import jax
import numpy as np

from hinterland.core import UserError


def use_32_bits() -> None:
    """Whatever JAX_ENABLE_X64 says: a seed's results and a run's checkpoints are of those."""
    jax.config.update("jax_enable_x64", False)


def keep_programs(folder: str) -> None:
    """Compiled programs that took half a second are kept in that folder, for later processes."""
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


class Meters:
    """Counts and seconds since somebody last looked; told from any thread."""

    def __init__(self) -> None:
        self._lock, self._sums = threading.Lock(), defaultdict[str, float](float)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Adds to one of them."""
        with self._lock:
            self._sums[name] += amount

    @contextmanager
    def timing(self, name: str) -> Generator[None]:
        """Adds the seconds that something takes."""
        began = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - began)

    def take(self) -> dict[str, float]:
        """All of them, and begins anew."""
        with self._lock:
            found = dict(self._sums)
            self._sums.clear()
        return found


class Stopped(Exception):
    """Raised inside units whose results nobody waits for any more."""


class LocalRuntime:
    """Runs units on this machine's devices, one thread per device.

    Args:
        devices: how many to use, cores of the CPU or accelerators; all by default.
        block: agents per unit; 1 on CPUs, all agents of a device's share on accelerators.
            Other block sizes change the last bits of results on some hardware.
    """

    units_travel = False
    """Whether a unit is a message to another process: few large ones are better then."""
    joined = False
    """Whether other machines work too."""

    def __init__(self, devices: int | None = None, block: int | None = None) -> None:
        found = jax.devices()
        if found[0].platform == "cpu":
            found = found[:1] * (devices or len(os.sched_getaffinity(0)))
        if devices is not None and not 1 <= devices <= len(found):
            raise UserError(f"--devices {devices}: this machine has {len(found)}")
        self.devices = found[:devices]
        self._block = block
        self._stopped = threading.Event()
        self._interrupted = threading.Event()

    def __enter__(self) -> "LocalRuntime":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back what it holds; nothing here."""

    def interrupt(self) -> None:
        """Ends the work under way soon, by KeyboardInterrupt in the thread that waits for it.

        For signal handlers: an exception raised by the handler itself may land in a callback of a
        library and be lost there.
        """
        self._interrupted.set()

    def stop_if_asked(self) -> None:
        """Long units call this now and then; it ends them once nobody waits for them any more."""
        if self._stopped.is_set():
            raise Stopped

    def block(self, agents: int) -> int:
        """Agents per unit."""
        if self._block is not None:
            return min(self._block, agents)
        if self.devices[0].platform == "cpu":
            return 1
        return -(-agents // self.processors)

    def in_groups(self, blocks: range) -> Iterator[range]:
        """Some blocks of work at a time: only the results of one group need to lie in memory."""
        each = max(8, 2 * self.processors)
        return (blocks[first : first + each] for first in range(0, len(blocks), each))

    def describe(self) -> list[str]:
        """One line per device."""
        return [f"{one.platform}:{i} {one.device_kind}" for i, one in enumerate(self.devices)]

    @property
    def processors(self) -> int:
        """So many units are worked on at a time."""
        return len(self.devices)

    def figures(self) -> dict[str, float]:
        """What this kind of runtime has to say in a line of metrics; nothing here."""
        return {}

    def telling(
        self, advance: Callable[[int], None], each: int
    ) -> tuple[Callable[[int], None], Callable[[], None], Callable[[int], None] | None]:
        """How a long unit of `map_agents` tells where it is.

        Args:
            advance: to be told of steps of agents.
            each: steps of one agent in the whole unit.

        Returns:
            (for the unit to call with steps done, for the unit to ask whether to go on, what
            `map_agents` calls with a finished unit's agents).
        """
        del each
        return advance, self.stop_if_asked, None

    def one_by_one(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        finished: Callable[[int], None] | None = None,
    ) -> list[Any]:
        """`function(*unit, stopping=...)` for units that use the simulators' processes.

        There is one set of those on a machine, which keeps its cores busy by itself.
        """
        results = []
        for index, unit in enumerate(units):
            results.append(function(*unit, stopping=self.raise_if_interrupted))
            if finished is not None:
                finished(index)
        return results

    def map(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        finished: Callable[[int], None] | None = None,
    ) -> list[Any]:
        """`function(*unit)` for every unit, results in the units' order, as NumPy arrays.

        Args:
            function: a jitted function, or a Python one that calls jitted functions on its
                arguments (they lie on the unit's device).
            units: argument tuples.
            finished: called with a unit's index when it is done, from the caller's thread.

        Raises:
            Exception: the first one that a unit raised; units not yet started are dropped.
        """
        results: list[Any] = [None] * len(units)

        def take(index: int, result: Any) -> None:
            results[index] = result
            if finished is not None:
                finished(index)

        self._run(function, units, take)
        return results

    def map_agents(
        self,
        function: Callable[..., Any],
        stacked: Any,
        common: tuple[Any, ...] = (),
        finished: Callable[[int], None] | None = None,
        at_once: int | None = None,
    ) -> Any:
        """`function(agents' slice, *common)` for each block; results stacked on the agent axis.

        Args:
            function: takes a block: leaves [block, ...].
            stacked: pytree of NumPy arrays [agents, ...].
            common: further arguments, the same for all agents.
            finished: called with the number of agents that a finished unit held.
            at_once: blocks that are worked on at a time; one for each device by default.
        """
        agents = jax.tree.leaves(stacked)[0].shape[0]
        block = self.block(agents)
        starts = range(0, agents, block)
        units = [
            (jax.tree.map(lambda x, s=start: x[s : s + block], stacked), *common)
            for start in starts
        ]
        whole: Any = None

        def take(index: int, result: Any) -> None:
            # Written into place at once: all agents' results do not lie in memory twice.
            nonlocal whole
            if whole is None:
                whole = jax.tree.map(lambda x: np.empty((agents, *x.shape[1:]), x.dtype), result)
            start = starts[index]

            def put(into: np.ndarray, part: np.ndarray) -> None:
                into[start : start + block] = part

            jax.tree.map(put, whole, result)
            if finished is not None:
                finished(min(block, agents - start))

        self._run(function, units, take, at_once)
        return whole

    def _run(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        take: Callable[[int, Any], None],
        at_once: int | None = None,
    ) -> None:
        """Threads, one per device or `at_once`, serve the units; `take` is called in this one."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(len(units)):
            waiting.put(index)
        done: queue.SimpleQueue[tuple[int, Any, BaseException | None]] = queue.SimpleQueue()
        self._stopped = stopped = threading.Event()

        def serve(device: jax.Device) -> None:
            while not stopped.is_set():
                try:
                    index = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    with jax.default_device(device):
                        arguments = jax.device_put(units[index], device)
                        result = jax.tree.map(np.asarray, function(*arguments))
                        del arguments
                    done.put((index, result, None))
                except BaseException as error:  # handed to the caller, who raises it
                    done.put((index, None, error))
                    return

        threads = [
            threading.Thread(target=serve, args=(device,), daemon=True)
            for device in islice(cycle(self.devices), min(at_once or len(self.devices), len(units)))
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in units:
                index, result, error = self._wait(done)
                if error is not None:
                    raise error
                take(index, result)
        finally:
            stopped.set()
            for thread in threads:
                thread.join()

    def raise_if_interrupted(self) -> None:
        """For work in the main thread: ends it where the user has had enough."""
        if self._interrupted.is_set():
            raise KeyboardInterrupt

    def _wait(self, done: queue.SimpleQueue) -> tuple[int, Any, BaseException | None]:
        """The next result, unless the user has had enough."""
        while True:
            self.raise_if_interrupted()
            try:
                return done.get(timeout=0.2)
            except queue.Empty:
                continue


def over_block(function: Callable[..., Any], shared_arguments: int = 0) -> Callable[..., Any]:
    """Lifts a function of ONE agent to a block of agents: [block, ...] in, [block, ...] out.

    A block of one is computed without a batch axis, so that loops stay loops and conditions stay
    conditions. The last `shared_arguments` arguments, and those given by name, are the same for all
    agents.
    """

    @wraps(function)
    def lifted(stacked: Any, *common: Any, **named: Any) -> Any:
        assert len(common) == shared_arguments
        one = partial(function, **named)
        if jax.tree.leaves(stacked)[0].shape[0] == 1:
            result = one(*jax.tree.map(lambda x: x[0], stacked), *common)
            return jax.tree.map(lambda x: x[None], result)
        return jax.vmap(lambda parts: one(*parts, *common))(stacked)

    return lifted
