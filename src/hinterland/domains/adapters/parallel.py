"""Any third-party PettingZoo parallel environment as a domain of entities.

hinterland train pettingzoo --env pettingzoo.butterfly.knights_archers_zombies_v11:parallel_env \
    --schedule pipeline

The other way round is `adapters.pettingzoo`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from hinterland.core import AgentSpec, UserError
from hinterland.domains.host import PATIENCE_S
from hinterland.domains.named import split
from hinterland.domains.pool import SharingPool

HORIZON = 1000
"""Steps of an episode of an environment that does not say how long it is."""


class ParallelSessions(SharingPool):
    """So many copies of one environment, each in a process of its own or several in one.

    Args:
        environment: "module:function" that returns it.
        options: keyword arguments of that function.
        patience_s: seconds after which one call counts as hung.
    """

    def __init__(self, environment: str, options: dict[str, Any], patience_s: int) -> None:
        super().__init__()
        self._environment, self._options, self._patience = environment, options, patience_s
        self.sizes = self.sessions(1)[0].call("sizes")
        self.central = int(self.sizes["central"])
        """Length of the environment's global state; 0: it has none."""

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies, which must not interfere."""
        target = "hinterland.domains.adapters.parallel_session:ParallelSession"
        how = {"patience_s": self._patience, "each": each}
        return self._first(count, target, self._environment, self._options, **how)


class ParallelEnvironment:
    """The domain: a slot for each of the environment's `possible_agents`.

    Agents whose names differ only in their number ("archer_0", "archer_1") have one role.
    """

    def __init__(self, name: str, sessions: ParallelSessions, horizon: int) -> None:
        sizes = sessions.sizes
        self.name, self.entity_simulator = name, sessions
        if not sessions.central:
            del sessions.central  # what is there, a critic may ask for
        names = sizes["agents"]
        self.agents = len(names)
        kinds = [name.rsplit("_", 1)[0] for name in names]
        self.roles = tuple(sorted(set(kinds), key=kinds.index).index(kind) for kind in kinds)
        self.spec = AgentSpec(
            observation=sizes["observation"], actions=sizes["actions"],
            dset=0, sources=0, classes=0, horizon=horizon,
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
        horizon: steps of an episode; by default what the environment says (`max_cycles`), or 1000.
        patience_s: seconds after which one step counts as hung.
        options: keyword arguments of that function.

    Raises:
        UserError: it cannot be made, or acts otherwise than with discrete actions.
    """
    module, _ = split(environment, f"--env {environment!r}")
    sessions = ParallelSessions(environment, options, patience_s)
    return ParallelEnvironment(
        module.rsplit(".", 1)[-1], sessions, horizon or sessions.sizes["limit"] or HORIZON
    )


def make(agents: int, env: str = "") -> ParallelEnvironment:
    """The domain `pettingzoo`.

    Raises:
        UserError: no environment was named, or it has another number of agents.
    """
    if not env:
        raise UserError(
            "domain pettingzoo needs --env MODULE:FUNCTION, for example "
            "--env pettingzoo.butterfly.knights_archers_zombies_v11:parallel_env"
        )
    domain = from_parallel(env)
    if agents != domain.agents:
        raise UserError(f"--agents {agents}: {env} has {domain.agents}; leave --agents out")
    return domain
