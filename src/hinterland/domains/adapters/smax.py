"""SMAX, JaxMARL's micro-management battles, against its heuristic enemy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityPolicy, UserError
from hinterland.domains.adapters.jaxmarl import (
    JaxMARLSimulator,
    State,
    import_jaxmarl,
    random,
)
from hinterland.domains.adapters.smax_options import Options as Options

SCENARIOS = (
    "3m", "2s3z", "25m", "3s5z", "8m", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z",
    "3s_vs_5z", "6h_vs_8z", "smacv2_5_units", "smacv2_10_units", "smacv2_20_units",
)  # fmt: skip
ALLY, ENEMY, GROUND = "#0072b2", "#d55e00", "#f4f1ea"


class SmaxSimulator(JaxMARLSimulator):
    """The allies of a battle; the enemies are played by JaxMARL's own rule."""

    def central(self, state: State) -> Float[Array, " central"]:
        """The whole battle, for a centralised critic."""
        return self.environment.get_world_state(state.inner)

    def figures(self, state: State) -> dict[str, Float[Array, ""]]:
        """How a battle ended, from its last state: won if only allies are left."""
        alive = state.inner.state.unit_alive
        allies, enemies = alive[: len(self.names)], alive[len(self.names) :]
        figures = {
            "won": allies.any() & ~enemies.any(),
            "survivors": allies.mean(),
            "enemies_left": enemies.mean(),
        }
        return {name: jnp.asarray(value, jnp.float32) for name, value in figures.items()}


def _heuristic(environment: Any) -> EntityPolicy:
    """JaxMARL's rule for the allies, without its memory: it may change its target at every step."""
    from jaxmarl.environments.smax.heuristic_enemy import (
        create_heuristic_policy,
        get_heuristic_policy_initial_state,
    )

    rule = create_heuristic_policy(environment, 0)

    def act(
        key: Key[Array, ""],
        observation: Float[Array, " observation"],
        mask: Bool[Array, " actions"],
    ) -> Int[Array, ""]:
        return rule(key, get_heuristic_policy_initial_state(), observation)[0]

    return act


class Smax:
    """A scenario as a domain; the allies are the slots."""

    name = "smax"

    def __init__(self, scenario: str, fallen: str = "leave") -> None:
        from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

        self.environment = HeuristicEnemySMAX(scenario=map_name_to_scenario(scenario))
        self.entity_simulator = SmaxSimulator(self.environment, fallen == "stay")
        self.agents = len(self.entity_simulator.names)
        self.scripted = {"random": random, "heuristic": _heuristic(self.environment)}
        self.spec = AgentSpec(
            observation=self.entity_simulator.observation,
            actions=self.entity_simulator.actions,
            dset=0,
            sources=0,
            classes=0,
            horizon=self.environment.max_steps,
        )

    def scene(self) -> dict[str, Any]:
        """The ground."""
        width, height = self.environment.map_width, self.environment.map_height
        ground = {"kind": "rect", "x": 0, "y": 0, "w": width, "h": height, "fill": GROUND}
        return {"width": width, "height": height, "shapes": [ground]}

    def frame(self, state: State) -> list[dict[str, Any]]:
        """Living units, allies blue and enemies orange: paler with every wound."""
        battle = state.inner.state
        radius = np.asarray(self.environment.unit_type_radiuses)
        full = np.asarray(self.environment.unit_type_health)
        shapes = []
        for unit in np.flatnonzero(battle.unit_alive):
            kind = int(battle.unit_types[unit])
            x, y = (round(float(at), 2) for at in battle.unit_positions[unit])
            health = float(battle.unit_health[unit]) / float(full[kind])
            shapes.append(
                {"kind": "circle", "x": x, "y": round(self.environment.map_height - y, 2),
                 "r": round(float(radius[kind]), 3), "fill": ALLY if unit < self.agents else ENEMY,
                 "opacity": round(0.25 + 0.75 * health, 2)}
            )  # fmt: skip
        return shapes


def make(agents: int, scenario: str = "3m", fallen: str = "leave") -> Smax:
    """A battle against JaxMARL's heuristic enemy.

    Args:
        agents: number of allies, which the scenario decides.
        scenario: JaxMARL's name of it.
        fallen: whether allies that fall leave, or stay and share the team's reward until the end.

    Raises:
        UserError: no such scenario, or it has another number of allies; JaxMARL is missing.
    """
    if scenario not in SCENARIOS:
        raise UserError(f"--scenario {scenario}: SMAX has {', '.join(SCENARIOS)}")
    import_jaxmarl()
    domain = Smax(scenario, fallen)
    if agents != domain.agents:
        raise UserError(f"--agents {agents}: scenario {scenario} has {domain.agents} allies")
    return domain
