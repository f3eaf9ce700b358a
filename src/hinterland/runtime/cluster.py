"""Several machines, or several processes of one, through Ray.

Units of work are the same as on one machine, so results are the same bits. A unit is a message up
(its function, its arguments) and one down (its result), and it needs nothing else: a lost process
or a lost node costs the time of the units it had, which go to another one.
"""

import logging
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from hinterland import __version__
from hinterland.core import UserError
from hinterland.runtime import wire
from hinterland.runtime.local import LocalRuntime, Meters

ATTEMPTS = 10
"""So often may a unit be lost with its process before the run gives up."""
AHEAD = 2
"""Units under way per processor: the next one's arguments travel while one is worked on."""
SHARDS, LARGEST = 2, 64
"""Groups of agents per processor at least, and agents of one group at most.

More groups would even out the processors' speeds, fewer lose more, and large ones take memory: each
is a message, of which several are in the driver, in Ray's store and in workers at the same time.
"""
CONNECT_S, PATIENCE_S, LOOK_S = 5, 60, 0.2
WORK = "hinterland.runtime.wire:work"
RAY_ENVIRONMENT = {
    # Workers are what the machine is here for, and nobody is told that they run.
    "worker_niceness": "0",
    "USAGE_STATS_ENABLED": "0",
    # A node without power or cable is silent, and a task there would be waited for for 7 minutes.
    "grpc_client_keepalive_time_ms": "10000",
    "grpc_client_keepalive_timeout_ms": "20000",
}
"""With RAY_ before it, for this process and those it starts; what is set already comes first."""
ASK = "; has 'ray start' been run on this machine too, and RAY_AUTH_MODE and the token as there?"


class ClusterRuntime(LocalRuntime):
    """Runs units as tasks of a Ray cluster, one processor each; a context manager.

    Args:
        address: HOST:PORT of a cluster to join; without it one is started here, and ended again.
        workers: processors of the one that is started here; all by default.

    Raises:
        UserError: Ray is not installed, nobody listens there, or other versions are installed.
    """

    units_travel = True

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.joined = address is not None
        self._ray = _connected(address, workers)
        super().__init__(devices=1, block=1)
        self._unit = self._ray.remote(wire.entry()).options(
            num_cpus=1, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._resident = self._ray.remote(wire.resident()).options(
            max_restarts=0, scheduling_strategy="SPREAD"
        )
        self.settings = wire.settings()
        """For `wire.prepare`."""
        self._meters = Meters()
        self._populated = 0.0
        """When there was a processor, or somebody began to need one."""

    def close(self) -> None:
        """Leaves the cluster; one that was started here ends, and so do all its processes."""
        self._ray.shutdown()

    @property
    def processors(self) -> int:
        """Of all nodes that are there now."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def describe(self) -> list[str]:
        """One line per node."""
        return [
            f"ray:{node['NodeManagerAddress']} {node['Resources'].get('CPU', 0):.0f} processors, "
            f"{node['Resources'].get('memory', 0) / 1e9:.1f} GB, "
            f"object store {node['Resources'].get('object_store_memory', 0) / 1e9:.1f} GB"
            for node in self._ray.nodes()
            if node["Alive"]
        ]

    def figures(self) -> dict[str, float]:
        """What has travelled since the last call, in MB (10^6 bytes), and what was lost.

        With the seconds that this process, the driver, was busy with messages.
        """
        counts = self._meters.take()
        names = ("up_mb", "down_mb", "units", "lost", "driver_s")
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return {
            **{f"cluster/{name}": counts.get(name, 0.0) for name in names},
            "cluster/nodes": float(nodes),
            "cluster/processors": float(self.processors),
        }

    def block(self, agents: int) -> int:
        """Agents of one shard; each is computed by itself, so the number changes no bit."""
        return min(LARGEST, -(-agents // (SHARDS * max(1, self.processors))))

    def telling(
        self, advance: Callable[[int], None], each: int
    ) -> tuple[Callable[[int], None], Callable[[], None], Callable[[int], None] | None]:
        """As `LocalRuntime.telling`; units elsewhere tell nothing until they are done."""
        return nothing, nothing, lambda agents: advance(agents * each)

    def map_agents(
        self,
        function: Callable[..., Any],
        stacked: Any,
        common: tuple[Any, ...] = (),
        finished: Callable[[int], None] | None = None,
        at_once: int | None = None,
    ) -> Any:
        """As `LocalRuntime.map_agents`; a unit is a shard: some agents, one after another."""
        return super().map_agents(wire.Shard(function), stacked, common, finished, at_once)

    def one_by_one(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        finished: Callable[[int], None] | None = None,
    ) -> list[Any]:
        """As `LocalRuntime.one_by_one`, but side by side: each worker has sessions of its own."""
        return self.map(partial(function, stopping=nothing), units, finished)

    def _run(
        self,
        function: Callable[..., Any],
        units: Sequence[tuple[Any, ...]],
        take: Callable[[int, Any], None],
        at_once: int | None = None,
    ) -> None:
        del at_once  # processors have a unit each, and more wait there
        with self._meters.timing("driver_s"):
            program, common = self.put(function), self._in_common(units)
        self._populated = time.monotonic()
        waiting, attempts = list(range(len(units)))[::-1], Counter[int]()
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                room = AHEAD * max(1, self.processors)
                while waiting and len(running) < room:
                    index = waiting.pop()
                    with self._meters.timing("driver_s"):
                        own = [None if id(part) in common else part for part in units[index]]
                        parts = [common.get(id(part)) for part in units[index]]
                        what = (self.settings, program, self.pack(own), *parts)
                        running[self._unit.remote(__version__, WORK, *what)] = index
                self.raise_if_interrupted()
                for task in self.finished(running):
                    index = running.pop(task)
                    try:
                        with self._meters.timing("driver_s"):
                            take(index, self.result(task))
                    except Lost as error:
                        attempts[index] += 1
                        if attempts[index] == ATTEMPTS:
                            raise UserError(
                                f"a unit was lost {ATTEMPTS} times with its process: {error}; "
                                "resume from the last checkpoint"
                            ) from error
                        waiting.append(index)
        finally:
            for task in running:
                self._ray.cancel(task, force=True)

    def resident(self) -> Any:
        """A process of its own somewhere in the cluster; `ask` it, until it is lost or ended."""
        return self._resident.remote()

    def ask(self, resident: Any, target: str, *arguments: Any) -> Any:
        """A call of "module:function" in that process, as a task; see `finished` and `result`."""
        self._populated = time.monotonic()
        return resident.call.remote(__version__, target, *arguments)

    def end(self, resident: Any) -> None:
        """Ends that process, whatever it is doing."""
        self._ray.kill(resident)

    def finished(self, tasks: Iterable[Any]) -> list[Any]:
        """Those that are done or lost, if need be after a moment.

        Raises:
            UserError: there has been nobody in the cluster for a while who could do them.
        """
        now = time.monotonic()
        if self.processors:
            self._populated = now
        elif now - self._populated > PATIENCE_S:
            raise UserError(
                f"the cluster has had no processor for {PATIENCE_S} s: start nodes with "
                "'ray start', then resume from the last checkpoint"
            )
        return self._ray.wait(list(tasks), timeout=LOOK_S)[0]

    def pack(self, thing: Any) -> bytes:
        """A message, counted."""
        message = wire.dumps(thing)
        self._meters.add("up_mb", len(message) / 1e6)
        return message

    def put(self, thing: Any) -> Any:
        """A message that several units will want: a node fetches it once."""
        return self._ray.put(self.pack(thing))

    def _in_common(self, units: Sequence[tuple[Any, ...]]) -> dict[int, Any]:
        """What several units have in common, by its identity."""
        often = Counter(id(part) for unit in units for part in unit)
        parts = {id(part): part for unit in units for part in unit if not isinstance(part, int)}
        return {
            name: self.put(part)
            for name, part in parts.items()
            if often[name] > 1 and part is not None
        }

    def result(self, task: Any) -> Any:
        """What a finished task returned.

        Raises:
            Lost: its process or node has died.
            UserError: another version of the package was found where it ran.
            Exception: what the unit raised.
        """
        from ray import exceptions

        try:
            host, version, result = self._ray.get(task)
        except exceptions.RayError as error:
            cause = getattr(error, "cause", error)
            if not isinstance(cause, exceptions.RayError):
                raise cause from error
            self._meters.add("lost")
            raise Lost(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
        if version != __version__:
            raise UserError(
                f"the node {host} has {f'hinterland {version}' if version else 'no hinterland'}, "
                f"the run has {__version__}: install the same versions on all nodes"
            )
        self._meters.add("down_mb", wire.size_mb(result))
        self._meters.add("units")
        return result


class Lost(Exception):
    """A unit went with its process."""


def nothing(*_: Any) -> None:
    """Units elsewhere tell nobody how far they are."""


def _connected(address: str | None, workers: int | None) -> Any:
    """Ray, as a driver of the cluster."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(f"RAY_{name}", value)
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise UserError(
            "--runtime ray needs the package ray: pip install 'hinterland[ray]'"
        ) from error
    if address is not None:
        _must_listen(address)
    # An address of its own: RAY_ADDRESS in the environment must not decide where this runs.
    own: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        with warnings.catch_warnings():
            # Ray forks to start programs of its own at once: no thread of JAX's is missed.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(
                address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
            )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        said = " ".join(str(error).split())
        where = f"--address {address}" if address else "--runtime ray"
        raise UserError(f"{where}: {said}{ASK * bool(address)}") from error
    return ray


def _must_listen(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--address {address}: must be HOST:PORT, as 'ray start --head' says it")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise UserError(
            f"--address {address}: nobody listens there ({error.strerror or error}); start a "
            "cluster with 'ray start --head', or leave --address out"
        ) from error
