"""The contracts. Simulators are written for ONE region (or one system), ONE copy and ONE step.

All randomness of a step is drawn beforehand by `noise(key)`, so that `step` is a deterministic
function. That makes the project's central claim testable to the last bit, for stochastic systems
too: the local simulator, given the true influence and its share of the same noise, must move
exactly as its region of the global simulator does (`testing.check_domain`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core.spec import AgentSpec
from hinterland.core.types import Chosen, EntityStep, G, GlobalStep, S, Segment, Step, View

Carry = Float[Array, "copy slots hidden"]
"""What is remembered of the steps before."""
Each = Float[Array, "copy slots"]
Along = Float[Array, "time copy slots"]


class LocalSimulator(Protocol[S]):
    """One region, given its influence sources. Pure; traced by JAX; never resets by itself.

    Of a region with k > 1 agents (`Domain.regions`) observations are [k, observation], and `step`
    takes actions [k] and gives rewards [k], in the order of that table; the state, the d-set, the
    influence and `terminated` are the region's.
    """

    def reset(self, key: Key[Array, ""]) -> S:
        """A first state; of a `Kind` with parameters, `reset(key, parameters)` of the region."""

    def observe(self, state: S) -> Float[Array, " observation"]:
        """What the agent sees; any real dtype, networks cast it to float32."""

    def dset(self, state: S) -> Float[Array, " dset"]:
        """What the influence predictor sees at this step; it must not depend on the outside."""

    def noise(self, key: Key[Array, ""]) -> Any:
        """All random numbers of one step, as a pytree."""

    def step(
        self, state: S, action: Int[Array, ""], influence: Int[Array, " sources"], noise: Any
    ) -> Step[S]:
        """One environment step."""


class GlobalSimulator(Protocol[G]):
    """The whole system. Pure; traced by JAX; never resets by itself.

    Actions and rewards are by agent; influence [regions, sources] is by region, as are `regions`
    and `region_noise`. Of a domain with `kinds` these three are tuples, with one such entry for
    each kind.
    """

    def reset(self, key: Key[Array, ""]) -> G:
        """A first state."""

    def noise(self, key: Key[Array, ""]) -> Any:
        """All random numbers of one step, as a pytree."""

    def step(self, state: G, actions: Int[Array, " agents"], noise: Any) -> GlobalStep[G]:
        """One environment step of all agents."""

    def regions(self, state: G) -> Any:
        """The local state of every region, stacked on a leading region axis."""

    def region_noise(self, noise: Any) -> Any:
        """Every region's share of the noise, stacked on a leading region axis."""


class HostSession(Protocol):
    """One episode at a time of a whole system that JAX cannot trace, in a process of its own.

    The simulator behind it is a function of its seed and actions. Its methods:
    `reset(seed, controller, figures)` and `step(actions [agents])` return a dictionary with
    "observation" [agents, observation] and "dset" [regions, dset] of the state reached; `step` adds
    "reward" [agents], "terminated" (a bool) and "influence" [regions, sources] (integers), which
    belongs to the d-set *before* the step; `metrics()` ends the episode and gives its figures,
    numbers by name (`core.figures`), or None where there was nobody of whom they could be;
    `picture()` gives what `Domain.frame` draws; `regions()` and `region_noise()`, if there are any,
    the local states of the state reached and the noise of the last step, stacked by region, by
    which `testing` compares local simulators. Actions are int32; nobody steps an episode after
    "terminated". Of a domain with `kinds`, "dset", "influence" and what `regions()` and
    `region_noise()` give are tuples, with one entry for each kind, and observations are padded with
    zeros to `Domain.spec`.
    """

    restarts: int
    """How often a lost process was replaced."""

    def begin(self, method: str, *arguments: Any, **named: Any) -> Any:
        """A call that makes everything before it irrelevant."""

    def forget(self) -> None:
        """The next call makes everything before it irrelevant."""

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """The result of a method."""

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """Starts a call."""

    def answer(self) -> Any:
        """Waits for the call under way."""


class HostSimulator(Protocol):
    """The whole system outside of JAX.

    One whose copies can share a process also has `shared_sessions(count, each)`: the first `count`
    sessions of processes with `each` copies (`domains/shared.py`). Of a session's class that has
    `step_all(objects, actions)`, all copies of a process step by that where they step together; it
    returns a list of what `step` gives, to the last bit.
    """

    restarts: int
    """How often a lost process was replaced, over all sessions."""

    def sessions(self, count: int) -> Sequence[HostSession]:
        """So many processes, always the same ones."""


class HostLocalSimulator(Protocol):
    """Local simulators outside of JAX, of one kind of regions.

    A session holds all copies of one region, in a process of its own. What it takes and gives
    begins with a copy axis; [slots] is [k] where k > 1 agents live in a region, and always for
    entities, and nothing for agents that live alone. `reset(seed, region)` begins an episode of
    every copy; in place of the region's number among all it is given the parameters of a `Kind`
    that has any. `reset_some(chosen [copy])` begins new ones in these copies and leaves the others
    where they are. `step(actions [copy, *slots], influence [copy, sources])` moves all copies; both
    are int32. All three return a dictionary of the state reached: "observation" [copy, *slots,
    observation] and "dset" [copy, dset], and of entities "alive" [copy, slots] and "mask" [copy,
    slots, actions]; `step` adds "reward" [copy, *slots], by the slots before the step, and
    "terminated" [copy]. Nobody steps a copy after that but for a `reset_some` of it. All randomness
    comes from the seed: the same calls give the same answers. Each stretch of training begins with
    `reset`, and who trains owns the horizon.

    The whole system's simulator is a `HostSimulator` then.
    """

    restarts: int
    """As of a `HostSimulator`."""

    def sessions(self, count: int, copies: int) -> Sequence[HostSession]:
        """So many processes, always the same ones, each with so many copies."""


def is_host(simulator: Any) -> bool:
    """Whether a simulator lives outside of JAX, behind sessions."""
    return hasattr(simulator, "sessions")


class EntitySimulator(Protocol[G]):
    """A system whose entities are born and die, in a fixed number of slots.

    Pure; traced by JAX; never resets by itself. Within an episode a slot holds one entity at most:
    a slot whose entity has died stays empty.
    """

    def reset(self, key: Key[Array, ""]) -> G:
        """A first state."""

    def observe(self, state: G) -> Float[Array, "slots observation"]:
        """What each entity sees; of empty slots anything finite."""

    def alive(self, state: G) -> Bool[Array, " slots"]:
        """Which slots hold an entity."""

    def action_mask(self, state: G) -> Bool[Array, "slots actions"]:
        """What each entity may do now; nothing at all is legal (it pauses, its action counts not).

        Empty slots may do nothing.
        """

    def noise(self, key: Key[Array, ""]) -> Any:
        """All random numbers of one step, as a pytree."""

    def step(self, state: G, actions: Int[Array, " slots"], noise: Any) -> EntityStep[G]:
        """One environment step of all entities."""

    # A simulator may also have `central(state)` [central]: the whole system's state for a
    # centralised critic; and `figures(state)`: numbers by name out of an episode's last state, such
    # as {"won": 1.0}, whose means stand beside the evaluation's return.
    #
    # One whose other side can be played by a policy too has `opposing(state)`: (observations,
    # masks, who is alive) of that side, as many slots and as long, seen from its own point of view;
    # `step_both(state, actions, opposing_actions, noise)`, as `step`; and `figures` with "won" and
    # "lost".


class Policy(Protocol):
    """A policy and value for every slot at once; what `rollout` and `learn` need of a network.

    Recurrent states are [copy, slots, hidden], of width 0 without memory; who calls has zeroed
    those of slots that begin anew. A slot that may do nothing has log-probability and entropy 0.
    """

    def initial(self, copies: int) -> Carry:
        """Zeroed recurrent states."""

    def act(
        self, key: Key[Array, ""], carry: Carry, view: View, greedy: bool | Array = False
    ) -> tuple[Carry, Chosen]:
        """(recurrent states after the step, decisions): sampled, or the likeliest."""

    def value(self, carry: Carry, view: View) -> Each:
        """Of the states that are shown."""

    def starts(self, carry: Carry, view: View) -> Carry:
        """The recurrent states that `unroll` starts from, at a step where these are `carry`."""

    def unroll(self, segment: Segment) -> tuple[Along, Along, Along]:
        """(log-probabilities of the segment's actions, entropies, values)."""

    def renewed(self, observation: Any) -> "Policy":
        """The network before it learns from what was seen: with fresh statistics, if it has any.

        Observations are [time, copy, ...], those of a segment. Before its first action a policy of
        games sees some of games between the domain's own players.
        """


class SlotNetwork(Protocol):
    """A policy and value of ONE slot, in ONE copy, for ONE step: a network of one's own.

    A pytree, such as an `equinox.Module`, whose JAX arrays (float32) are its parameters, and NumPy
    arrays constants. `train` maps it over slots, copies and steps.
    """

    memory: int
    """Length of what it remembers, which is zeroed when an episode or an entity begins; 0: none."""

    def step(
        self, memory: Float[Array, " memory"], observation: Float[Array, " observation"]
    ) -> tuple[Float[Array, " memory"], Float[Array, " actions"], Float[Array, ""]]:
        """(what it remembers from now on, logits of the actions, value)."""


class EntityPolicy(Protocol):
    """A hand-written policy of one entity."""

    def __call__(
        self,
        key: Key[Array, ""],
        observation: Float[Array, " observation"],
        mask: Bool[Array, " actions"],
    ) -> Int[Array, ""]:
        """The action."""


class EntityDomain(Protocol):
    """A system whose entities are born and die."""

    name: str
    agents: int
    """Number of slots."""
    spec: AgentSpec
    """Sizes of one entity; no d-set and no influence (0)."""
    entity_simulator: Any
    """An `EntitySimulator`, or a `HostSimulator`.

    The latter's sessions are as `HostSession` says, but `reset` and `step` return "observation"
    [slots, observation], "alive" [slots] and "mask" [slots, actions] of the state reached, and
    "central" [central] if `HostSimulator.central` gives its length; `step` adds "reward" [slots],
    "terminated" and, where the simulator ends episodes by itself, "truncated"; and, where slots
    are truncated while the others go on, "cut" [slots], with a last observation of who is.
    A simulator that shows its central state only if asked has `show_central()`, which is called
    before its sessions are used and gives it the attribute `central`.
    """
    scripted: Mapping[str, EntityPolicy]
    # One that is cut into regions has `regions` [regions, k], the slots of each, and a
    # `local_simulator` as `LocalSimulator`, but for k slots and with `alive` and `action_mask`, or
    # a `HostLocalSimulator`; its simulator has `regions(state)` and `region_noise(noise)` as
    # `GlobalSimulator`, and its steps have influence. One on hosts shows "dset" and "influence" as
    # `HostSession` says.
    #
    # A domain may also have `roles` [slots]: the role of each slot, 0, 1, ...; `names` [slots], by
    # which evaluation tells returns apart (slots of one name together); and `notes` as `Domain`.

    def scene(self) -> dict[str, Any]:
        """As in `Domain`."""

    def frame(self, state: Any) -> list[dict[str, Any]]:
        """As in `Domain`, of one state (NumPy leaves)."""


class HostEntitySimulator(HostSimulator, Protocol):
    """A system of entities outside of JAX: games of one side or of several against each other.

    The methods of its sessions, whose arrays begin with a side axis; observations, masks and
    actions are pytrees whose meaning is between the simulator and the network:
    `reset(seed, controllers, record)` begins a game; `controllers` names for each side who plays
    it, None being the actions of `step`. It returns "observation", "masks", "seconds" of the CPU by
    part, and [side, slots] "alive" and "acting": who lives, and who of them has something to
    choose. `step(actions)` (None, if every side has a controller) adds "terminated" and "reward"
    [side, slots], by the slots before the step. `metrics()` gives the figures of the
    game so far, among them "return" (summed over a side's entities, mean over sides), and "wins/K"
    of side K; `play(seed, controllers)` those of a whole game without any actions from outside;
    `picture()` what is drawn; `replay()`, if there is a format of its own, the game in it.

    A slot may hold another entity after it was empty for a step at least.
    """


class HostEntityDomain(Protocol):
    """A system of entities outside of JAX."""

    name: str
    agents: int
    """Number of slots of each side."""
    sides: int
    """Of a game; all are played by the one policy that learns."""
    spec: AgentSpec
    """Sizes of one entity; `horizon` is where games are truncated in training."""
    length: int
    """Steps of a whole game, which evaluation plays; at least the horizon."""
    entity_simulator: HostEntitySimulator
    scripted: Mapping[str, str]
    """Controllers by name."""

    def scene(self, start: Any) -> dict[str, Any]:
        """As in `Domain`, for a game whose first picture is `start`."""

    def frame(self, picture: Any, start: Any) -> list[dict[str, Any]]:
        """As in `Domain`, drawn over the scene of `start`."""


def is_game(domain: Any) -> "TypeGuard[HostEntityDomain]":
    """Whether a domain of entities is played by sides, in processes of its own."""
    return hasattr(domain, "sides")


def is_entity_domain(domain: Any) -> TypeGuard[EntityDomain]:
    """Whether a domain is made of entities; it has `entity_simulator` and no other simulator."""
    return hasattr(domain, "entity_simulator")


class ScriptedPolicy(Protocol):
    """A hand-written policy on one region's state (it may see more than observations).

    It acts for all agents of the region: one, or k in the order of `Domain.regions`.
    """

    initial: Any
    """Its memory of the region at the start of an episode (None: it has none)."""

    def __call__(self, key: Key[Array, ""], memory: Any, state: Any) -> tuple[Array, Any]:
        """(action, memory) in this local state; of k > 1 agents (actions [k], memory)."""


def global_simulator_of(domain: Any) -> Any:
    """The whole system's simulator, of agents or of entities."""
    return domain.entity_simulator if is_entity_domain(domain) else domain.global_simulator


class Domain(Protocol):
    """What a system is. A user's own domain is an object with these attributes."""

    name: str
    agents: int
    spec: AgentSpec
    """`observation` and `actions` are of one agent; `dset`, `sources` and `classes` of a region."""
    local_simulator: Any
    """A `LocalSimulator`, or a `HostLocalSimulator`."""
    global_simulator: Any
    """A `GlobalSimulator`, or a `HostSimulator`."""
    scripted: Mapping[str, ScriptedPolicy | str]
    """Hand-written policies by name; "random" is always there, "heuristic" is the one to beat.

    A string names a controller inside of a host simulator.
    """

    # A domain may also have `regions` [regions, k]: the agents that live in each, every agent once.
    # `LocalSimulator` and `ScriptedPolicy` say what changes where k > 1.
    #
    # Where regions are not all alike, it has `kinds`, a sequence of `Kind`, in place of
    # `local_simulator` and `regions`. Every agent is in exactly one region of one kind. `spec` has
    # the largest sizes (`largest` makes it): who sees the whole system at once sees observations
    # padded with zeros, and masks that forbid the actions a slot's kind does not have. What is
    # trained region by region has its kind's own sizes. An entry of `scripted` is then a tuple of
    # policies, one for each kind, or one policy for the regions of every kind.
    #
    # A domain may also have `action_mask` [agents, actions]: which actions each agent has at all
    # (spec.actions is the largest number), and `notes`: sentences that a user should read.
    #
    # Any domain may say which of its simulator's figures are shown beside the return, the most
    # telling first: `shown_figures = ("delay_s", "travel_time_s")`.
    #
    # Any domain, of agents or of entities, may bring its own network: `own_network(key, spec)`
    # gives an untrained `SlotNetwork`, or a `Policy` of all slots, in place of ours.

    def scene(self) -> dict[str, Any]:
        """The unchanging part of a picture: {"width", "height", "shapes": [shape, ...]}."""

    def frame(self, state: Any) -> list[dict[str, Any]]:
        """The shapes of one global state (NumPy leaves), drawn over the scene.

        A shape is {"kind": "circle", "x", "y", "r", "fill"}, {"kind": "rect", "x", "y", "w", "h",
        "fill"} or {"kind": "text", "x", "y", "text", "fill"}, with an optional "opacity".
        """
