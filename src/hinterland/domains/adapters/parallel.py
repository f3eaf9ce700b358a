"""Any third-party PettingZoo parallel environment as a domain of entities.

hinterland train pettingzoo --env pettingzoo.butterfly.knights_archers_zombies_v11:parallel_env

The other way round is `adapters.pettingzoo`.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from hinterland.core import AgentSpec, UserError
from hinterland.domains.adapters.parallel_options import Options as Options
from hinterland.domains.host import PATIENCE_S
from hinterland.domains.named import split
from hinterland.domains.pool import SharingPool

HORIZON = 1000
"""Steps of an episode of an environment that does not say how long it is."""
TOLD_APART = 16
"""Agents whose returns are told one by one; those of more are told by role."""


class ParallelSessions(SharingPool):
    """So many copies of one environment, each in a process of its own or several in one.

    Args:
        environment: "module:function" that returns it.
        options: keyword arguments of that function.
        patience_s: seconds after which one call counts as hung.
    """

    central: int
    """Length of the environment's global state, once it was asked for and if it has one."""

    def __init__(self, environment: str, options: dict[str, Any], patience_s: int) -> None:
        super().__init__()
        self.environment = environment
        self._options, self._patience = options, patience_s
        self.sizes = self.sessions(1)[0].call("sizes")

    def show_central(self) -> None:
        """From now on the environment's `state()` is shown; nobody else calls it.

        Raises:
            UserError: it raises.
        """
        if hasattr(self, "central"):
            return
        size = self.sessions(1)[0].call("central_size")
        if size is not None:
            self.central = int(size)
            self.close()
            self._processes, self._games = {}, None  # those here do not show it

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies, which must not interfere."""
        target = "hinterland.domains.adapters.parallel_session:ParallelSession"
        shown = hasattr(self, "central")
        how = {"patience_s": self._patience, "each": each, "name": self.environment}
        return self._first(count, target, self.environment, self._options, shown, **how)


class ParallelEnvironment:
    """The domain: a slot for each of the environment's `possible_agents`.

    Agents whose names differ only in their number ("archer_0", "archer_1") have one role.

    Args:
        name: of the domain.
        sessions: the environment's copies.
        horizon: steps of an episode; None: what the environment says, or 1000.
    """

    def __init__(self, name: str, sessions: ParallelSessions, horizon: int | None) -> None:
        sizes = sessions.sizes
        self.name, self.entity_simulator = name, sessions
        names: list[str] = sizes["agents"]
        self.agents = len(names)
        kinds = [re.sub(r"[_-]?\d+$", "", name) for name in names]
        few = self.agents <= TOLD_APART
        self.names = names if few else [kind or "agent" for kind in kinds]
        self.roles = tuple(sorted(set(kinds), key=kinds.index).index(kind) for kind in kinds)
        self.notes: list[str] = []
        if not (horizon or sizes["limit"]):
            self.notes.append(
                f"{sessions.environment} does not say how long its episodes are (max_cycles); "
                f"assumes {HORIZON:,} steps; give --horizon N"
            )
        self.spec = AgentSpec(
            observation=sizes["observation"], actions=sizes["actions"],
            dset=0, sources=0, classes=0, horizon=horizon or sizes["limit"] or HORIZON,
        )  # fmt: skip
        self.scripted = {"random": _random}


def _random(key: Key[Array, ""], observation: Array, mask: Array) -> Int[Array, ""]:
    """Any possible action."""
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


def from_parallel(
    environment: str, horizon: int | None = None, patience_s: int = PATIENCE_S, **options: Any
) -> ParallelEnvironment:
    """A parallel environment as a domain.

    Args:
        environment: "module:function" that returns it, such as
            "pettingzoo.sisl.pursuit_v5:parallel_env".
        horizon: steps of an episode; by default what the environment says (`max_cycles`), or 1000,
            which is noted.
        patience_s: seconds after which one step counts as hung.
        options: keyword arguments of that function.

    Raises:
        UserError: it cannot be made, or acts otherwise than with discrete actions.
    """
    module, _ = split(environment, f"--env {environment!r}")
    sessions = ParallelSessions(environment, options, patience_s)
    return ParallelEnvironment(module.rsplit(".", 1)[-1], sessions, horizon)


def make(agents: int, env: str = "", horizon: int | None = None) -> ParallelEnvironment:
    """The domain `pettingzoo`.

    Raises:
        UserError: no environment was named, or it has another number of agents.
    """
    if not env:
        raise UserError(
            "domain pettingzoo needs --env MODULE:FUNCTION, for example "
            "--env pettingzoo.butterfly.knights_archers_zombies_v11:parallel_env"
        )
    domain = from_parallel(env, horizon)
    if agents != domain.agents:
        raise UserError(f"--agents {agents}: {env} has {domain.agents}; leave --agents out")
    return domain
