"""Options and presets of third-party PettingZoo environments."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from hinterland.core.options import DomainOptions

FAST: dict[str, Any] = {
    # Environments of others are processes: eight copies in two of them (see `preset`).
    "simulation": "global",
    "schedule": "lockstep",
    "steps": 200_000,
    "evaluate_episodes": 8,
    "final_episodes": 32,
    "network": "feed-forward",
    "hidden": 64,
    "trunk": 64,
    "copies": 8,
    "window": 32,
    "windows": 4,
    "epochs": 4,
    "minibatches": 4,
    "learning_rate": 1e-3,
    "entropy_weight": 0.01,
    "discount": 0.99,
    "trace": 0.95,
}


PAPER: dict[str, Any] = {"simulation": "global", "schedule": "lockstep", "copies": 1}


class Options(DomainOptions):
    """Somebody's parallel environment."""

    env: str = Field(
        "", description="MODULE:FUNCTION that returns the parallel environment; has no default"
    )
    horizon: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="steps after which an episode is truncated, if it has not ended by itself; by "
        "default what the environment says, or 1000",
    )

    summary = "any PettingZoo parallel environment with discrete actions (--env)"
    kind = "entities"
    presets = {"fast": FAST, "paper": PAPER}  # noqa: RUF012
    from_outside = True

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Two processes for a worker's copies."""
        preset = cls.presets.get(name, {})
        return {**preset, "copies_per_process": _half_of({"actors": 1, **preset, **given})}

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the number of agents that the environment has."""
        if "agents" in given or not isinstance(given.get("env"), str):
            return given
        from hinterland.domains.adapters.parallel import from_parallel

        domain = from_parallel(str(given["env"]))
        domain.entity_simulator.close()
        return {**given, "agents": domain.agents}


def _half_of(values: Mapping[str, Any]) -> int:
    """Copies in each of two processes for a worker's, or the most that divide them evenly."""
    each_actor, actors = values.get("copies"), values.get("actors")
    if not (isinstance(each_actor, int) and isinstance(actors, int)):
        return 1  # refused for what they are
    if each_actor < 1 or actors < 1:
        return 1
    copies = each_actor * actors
    return next(each for each in range(-(-copies // 2), 0, -1) if copies % each == 0)
