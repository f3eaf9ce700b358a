"""The contracts. Simulators are written for ONE region (or one system), ONE copy and ONE step.

All randomness of a step is drawn beforehand by `noise(key)`, so that `step` is a deterministic
function. That makes the project's central claim testable to the last bit, for stochastic systems
too: the local simulator, given the true influence and its share of the same noise, must move
exactly as its region of the global simulator does (`testing.check_domain`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from jaxtyping import Array, Float, Int, Key

from hinterland.core.spec import AgentSpec
from hinterland.core.types import GlobalStep, Step

S = TypeVar("S")
G = TypeVar("G")


class LocalSimulator(Protocol[S]):
    """One region, given its influence sources. Pure; traced by JAX; never resets by itself."""

    def reset(self, key: Key[Array, ""]) -> S:
        """A first state."""
        ...

    def observe(self, state: S) -> Float[Array, " observation"]:
        """What the agent sees; any real dtype, networks cast it to float32."""
        ...

    def dset(self, state: S) -> Float[Array, " dset"]:
        """What the influence predictor sees at this step; it must not depend on the outside."""
        ...

    def noise(self, key: Key[Array, ""]) -> Any:
        """All random numbers of one step, as a pytree."""
        ...

    def step(
        self, state: S, action: Int[Array, ""], influence: Int[Array, " sources"], noise: Any
    ) -> Step[S]:
        """One environment step."""
        ...


class GlobalSimulator(Protocol[G]):
    """The whole system. Pure; traced by JAX; never resets by itself."""

    def reset(self, key: Key[Array, ""]) -> G:
        """A first state."""
        ...

    def noise(self, key: Key[Array, ""]) -> Any:
        """All random numbers of one step, as a pytree."""
        ...

    def step(self, state: G, actions: Int[Array, " agents"], noise: Any) -> GlobalStep[G]:
        """One environment step of all agents."""
        ...

    def regions(self, state: G) -> Any:
        """The local state of every agent, stacked on a leading agent axis."""
        ...

    def region_noise(self, noise: Any) -> Any:
        """Every region's share of the noise, stacked on a leading agent axis."""
        ...


class HostSession(Protocol):
    """One episode at a time of a whole system that JAX cannot trace, in a process of its own.

    The simulator behind it is a function of its seed and actions. Its methods:
    `reset(seed, controller, figures)` and `step(actions [agents])` return a dictionary with
    "observation" [agents, observation] and "dset" [agents, dset] of the state reached; `step` adds
    "reward" [agents], "terminated" and "influence" [agents, sources], which belongs to the d-set
    *before* the step; `metrics()` ends the episode and gives its figures; `picture()` gives what
    `Domain.frame` draws.
    """

    restarts: int
    """How often a lost process was replaced."""

    def begin(self, method: str, *arguments: Any, **named: Any) -> Any:
        """A call that makes everything before it irrelevant."""
        ...

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """The result of a method."""
        ...

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """Starts a call."""
        ...

    def answer(self) -> Any:
        """Waits for the call under way."""
        ...


class HostSimulator(Protocol):
    """The whole system outside of JAX."""

    restarts: int
    """How often a lost process was replaced, over all sessions."""

    def sessions(self, count: int) -> Sequence[HostSession]:
        """So many processes, always the same ones."""
        ...


def is_host(simulator: Any) -> bool:
    """Whether a global simulator is a `HostSimulator`."""
    return hasattr(simulator, "sessions")


class ScriptedPolicy(Protocol):
    """A hand-written policy of one agent on its local state (it may see more than observations)."""

    initial: Any
    """Its memory at the start of an episode (None: it has none)."""

    def __call__(self, key: Key[Array, ""], memory: Any, state: Any) -> tuple[Array, Any]:
        """(action, memory) in this local state."""
        ...


class Domain(Protocol):
    """What a system is. A user's own domain is an object with these attributes."""

    name: str
    agents: int
    spec: AgentSpec
    local_simulator: LocalSimulator
    global_simulator: Any
    """A `GlobalSimulator`, or a `HostSimulator`."""
    scripted: Mapping[str, ScriptedPolicy | str]
    """Hand-written policies by name; "random" is always there, "heuristic" is the one to beat.

    A string names a controller inside of a host simulator.
    """

    # A domain may also have `action_mask` [agents, actions]: which actions each agent has at all
    # (spec.actions is the largest number), and `notes`: sentences that a user should read.

    def scene(self) -> dict[str, Any]:
        """The unchanging part of a picture: {"width", "height", "shapes": [shape, ...]}."""
        ...

    def frame(self, state: Any) -> list[dict[str, Any]]:
        """The shapes of one global state (NumPy leaves), drawn over the scene.

        A shape is {"kind": "circle", "x", "y", "r", "fill"}, {"kind": "rect", "x", "y", "w", "h",
        "fill"} or {"kind": "text", "x", "y", "text", "fill"}, with an optional "opacity".
        """
        ...
