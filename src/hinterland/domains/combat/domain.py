"""The engagement as a domain: red learns, blue is played by a hand-written policy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import AgentSpec, EntityPolicy, EntityStep, UserError
from hinterland.domains.combat import drawing
from hinterland.domains.combat.actions import ACTIONS
from hinterland.domains.combat.game import CombatGame
from hinterland.domains.combat.observation import OBSERVATION
from hinterland.domains.combat.policies import SCRIPTED
from hinterland.domains.combat.rules import STEPS
from hinterland.domains.combat.state import BLUE, RED, State


class Noise(NamedTuple):
    """Random numbers of one step."""

    missiles: Float[Array, "2 units missiles"]
    opponents: Key[Array, " units"]


class CombatSimulator:
    """An `EntitySimulator`: the units of red, against blue's policy."""

    def __init__(self, game: CombatGame, opponent: EntityPolicy) -> None:
        self.game, self.opponent = game, opponent

    def reset(self, key: Key[Array, ""]) -> State:
        """Both sides at their bases."""
        return self.game.reset(key)

    def observe(self, state: State) -> Float[Array, "slots observation"]:
        """What each red unit sees."""
        return self.game.observe(state, RED)

    def central(self, state: State) -> Float[Array, " central"]:
        """The whole state, for a centralised critic."""
        return self.game.central(state, RED)

    def alive(self, state: State) -> Bool[Array, " slots"]:
        """Red units that have not been destroyed."""
        return state.sides.alive[RED]

    def action_mask(self, state: State) -> Bool[Array, "slots actions"]:
        """What each red unit may do."""
        return self.game.action_mask(state, RED)

    def noise(self, key: Key[Array, ""]) -> Noise:
        """For the missiles and for blue's decisions."""
        missiles, opponents = jax.random.split(key)
        return Noise(self.game.noise(missiles), jax.random.split(opponents, self.game.units))

    def step(self, state: State, actions: Int[Array, " slots"], noise: Noise) -> EntityStep[State]:
        """Blue decides on what it sees, then both sides act."""
        seen, possible, _ = self.opposing(state)
        blue = jax.vmap(self.opponent)(noise.opponents, seen, possible)
        return self.step_both(state, actions, blue, noise)

    def opposing(
        self, state: State
    ) -> tuple[
        Float[Array, "slots observation"], Bool[Array, "slots actions"], Bool[Array, " slots"]
    ]:
        """(observations, masks, who is alive) of blue, for a policy that plays it."""
        seen, possible = self.game.observe(state, BLUE), self.game.action_mask(state, BLUE)
        return seen, possible, state.sides.alive[BLUE]

    def step_both(
        self,
        state: State,
        actions: Int[Array, " slots"],
        opposing: Int[Array, " slots"],
        noise: Noise,
    ) -> EntityStep[State]:
        """Both sides act; what red earns."""
        after, rewards = self.game.step(state, actions, opposing, noise.missiles)
        return EntityStep(after, rewards.total[RED], after.over)

    def figures(self, state: State) -> dict[str, Float[Array, ""]]:
        """How an episode ended, from its last state."""
        alive = state.sides.alive.mean(1)
        figures = {
            "won": state.won[RED],
            "lost": state.won[BLUE],
            "drawn": state.over & ~state.won.any(),
            "survivors": alive[RED],
            "enemies_left": alive[BLUE],
        }
        return {name: jnp.asarray(value, jnp.float32) for name, value in figures.items()}


class Combat:
    """The domain: `agents` units a side, of them `detectors` detectors."""

    name = "combat"
    spec = AgentSpec(
        observation=OBSERVATION, actions=ACTIONS, dset=0, sources=0, classes=0, horizon=STEPS
    )
    scripted = {**SCRIPTED, "heuristic": SCRIPTED["coordinated"]}  # noqa: RUF012 - never mutated

    def __init__(self, agents: int, detectors: int, opponent: str) -> None:
        self.agents = agents
        self.entity_simulator = CombatSimulator(CombatGame(agents, detectors), SCRIPTED[opponent])

    def scene(self) -> dict[str, Any]:
        """The field."""
        return drawing.scene()

    def frame(self, state: State) -> list[dict[str, Any]]:
        """Units, emissions and missiles of one state."""
        return drawing.frame(state, self.entity_simulator.game.forces)


def make(agents: int, detectors: int = 0, opponent: str = "coordinated") -> Combat:
    """An engagement between two sides with this many units each.

    Args:
        agents: units of the side that learns, and of the other.
        detectors: how many of them are detectors instead of fighters.
        opponent: how the other side is played: random, nearest or coordinated.

    Raises:
        UserError: no fighter is left; no such opponent.
    """
    if opponent not in SCRIPTED:
        raise UserError(f"--opponent {opponent}: combat has {', '.join(SCRIPTED)}")
    return Combat(agents, detectors, opponent)
