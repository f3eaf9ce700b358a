"""`check` on one sound river and what is wrong with its relatives: one method each, one sentence.

The river's global simulator is written apart from its local one, and adds up the same water in
another order: the two agree to rounding only.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.core import AgentSpec, EntityStep, GlobalStep, Step, UserError
from hinterland.testing import check_domain
from hinterland.testing.differences import beyond_rounding, difference, largest_distance, relative
from hinterland.testing.plays import corners

AGENTS, HORIZON = 6, 20
SPEC = AgentSpec(observation=2, actions=2, dset=2, sources=1, classes=2, horizon=HORIZON)
HERE = r"\(.*test_check.py, line \d+\)"


class Reach(NamedTuple):
    """A stretch of river before its gate."""

    level: Any
    opened: Any  # how often in a row
    turned: Any  # how often it was opened or shut
    was: Any  # the last action
    clock: Any


# --- The sound river


class Local:
    def reset(self, key: Any) -> Reach:
        level = jax.random.uniform(key, minval=0.2, maxval=0.9)
        return Reach(level, *jnp.zeros(4, int))

    def observe(self, state: Reach) -> Any:
        return jnp.stack([state.level, state.opened.astype(jnp.float32)])

    def dset(self, state: Reach) -> Any:
        return self.observe(state)

    def noise(self, key: Any) -> Any:
        return 0.1 * jax.random.uniform(key)

    def step(self, state: Reach, action: Any, influence: Any, noise: Any) -> Step[Reach]:
        level = 0.9 * state.level + noise - 0.3 * action * state.level + 0.13 * influence[0]
        opened = jnp.where(action == 1, state.opened + 1, 0)
        turned = state.turned + (action != state.was)
        after = Reach(level, opened, turned, action, state.clock + 1)
        return Step(after, -jnp.abs(level - 0.5), jnp.bool_(False))


class Global:
    def __init__(self, agents: int = AGENTS) -> None:
        self.agents = agents

    def reset(self, key: Any) -> Reach:
        level = jax.random.uniform(key, (self.agents,), minval=0.2, maxval=0.9)
        return Reach(level, *jnp.zeros((4, self.agents), int))

    def noise(self, key: Any) -> Any:
        return 0.1 * jax.random.uniform(key, (self.agents,))

    def comes(self, state: Reach, actions: Any) -> Any:
        """Whether a wave comes from upstream."""
        wave = (actions == 1) & (state.level > 0.4)
        return jnp.concatenate([jnp.ones(1, int), wave[:-1].astype(int)])

    def step(self, state: Reach, actions: Any, noise: Any) -> GlobalStep[Reach]:
        comes = self.comes(state, actions)
        level = (0.13 * comes + noise) + state.level * (0.9 - 0.3 * actions)
        opened = (state.opened + 1) * actions
        reward = jnp.minimum(level - 0.5, 0.5 - level)
        turned = jnp.where(actions == state.was, state.turned, state.turned + 1)
        after = Reach(level, opened, turned, actions, state.clock + 1)
        return GlobalStep(after, reward, jnp.bool_(False), comes[:, None])

    def regions(self, state: Reach) -> Reach:
        return state

    def region_noise(self, noise: Any) -> Any:
        return noise


class Policy:
    initial = None

    def __init__(self, act: Callable[[Any, Reach], Any]) -> None:
        self._act = act

    def __call__(self, key: Any, memory: Any, state: Reach) -> Any:
        return self._act(key, state), memory


RANDOM = Policy(lambda key, state: jax.random.randint(key, (), 0, 2))
BY_TURNS = Policy(lambda key, state: state.clock % 2)


class Domain:
    name = "river"

    def __init__(self, local: Any = None, whole: Any = None, **attributes: Any) -> None:
        self.agents, self.spec = AGENTS, SPEC
        self.local_simulator, self.global_simulator = local or Local(), whole or Global()
        self.scripted = {"random": RANDOM, "by turns": BY_TURNS}
        self.__dict__ |= attributes


def changed(base: Any, **methods: Callable[..., Any]) -> Any:
    """One of its kind with other methods, which get the sound one first."""
    made = type("Own", (base,), {})
    for name, method in methods.items():
        bound = partial(_bound, made, method)
        setattr(made, name, lambda self, *given, bound=bound: bound(self, *given))
    return made()


def _bound(made: type, method: Any, self: Any, *given: Any) -> Any:
    return method(super(made, self), *given)


def leaks(amount: float, when: Callable[[Reach, Any], Any]) -> Any:
    """A global simulator whose first agent's level is wrong by this part at times."""

    def step(self: Any, state: Reach, actions: Any, noise: Any) -> Any:
        moved = self.step(state, actions, noise)
        wrong = when(moved.state, actions) & (jnp.arange(AGENTS) == 0)
        level = moved.state.level * jnp.where(wrong, 1 + amount, 1)
        return moved._replace(state=moved.state._replace(level=level))

    return changed(Global, step=step)


def steps(base: Any, **changes: Callable[[Any], Any]) -> Any:
    """A simulator whose steps give other things: functions of what a step gave."""

    def step(self: Any, *given: Any) -> Any:
        moved = self.step(*given)
        return moved._replace(**{name: change(moved) for name, change in changes.items()})

    return changed(base, step=step)


def in_state(**changes: Callable[[Reach], Any]) -> Callable[[Any], Any]:
    """For `steps`: another state."""
    return lambda moved: moved.state._replace(
        **{name: change(moved.state) for name, change in changes.items()}
    )


def sizes(**others: int) -> AgentSpec:
    return AgentSpec(**{**SPEC.__dict__, **others})


def full(state: Reach) -> Any:
    """In at least one state that is met, and in no first one."""
    return (state.clock > 2) & (state.level > 0.6)


def always(*_: Any) -> Any:
    return jnp.bool_(True)


def constant(self: Any, key: Any) -> Any:
    return self.reset(jax.random.key(0))


FACTORISATION = "the local simulator, given the true influence and noise, moved otherwise"
FAULTS: dict[str, tuple[Any, str]] = {
    "small": (
        Domain(whole=leaks(1e-3, always)),
        r"factorisation: state\.level of agent 0 at step 0: local 0\.\d+, global 0\.\d+: "
        rf"difference 0\.000\d+, of which rounding may explain \d\.\de-0[56], .*; {FACTORISATION}",
    ),
    "all_shut": (
        Domain(whole=leaks(0.1, lambda state, actions: (actions == 0).all())),
        r"state\.level of agent 0 .*, after (everybody plays the (same|first)|scripted\['by turns)",
    ),
    "shut_for_long": (
        Domain(
            whole=leaks(0.1, lambda s, a: (s.clock > 15) & (s.opened == s.clock).all())
        ),
        r"state\.level of agent 0 at step 15: .*, after everybody plays the last action",
    ),
    "played_by_hand": (
        Domain(
            whole=leaks(0.1, lambda s, a: (s.clock > 9) & (s.turned == s.clock - 1).all())
        ),
        r"state\.level of agent 0 at step 9: .*, after scripted\['by turns'\]",
    ),
    "count": (
        Domain(whole=steps(Global, state=in_state(opened=lambda s: s.opened + full(s)))),
        r"state\.opened of agent \d at step \d+: local (\d+), global \d+: difference 1, after",
    ),
    "reward": (
        Domain(whole=steps(Global, reward=lambda m: m.reward + 0.01)),
        r"factorisation: reward of agent \d at step 0: .*: difference 0\.01, of which",
    ),
    "region_ends": (
        Domain(local=steps(Local, terminated=lambda m: full(m.state))),
        r"factorisation: terminated of agent \d at step \d+: local True, global False, after",
    ),
    "system_ends": (
        Domain(whole=steps(Global, terminated=lambda m: (m.state.clock > 4).all())),
        r"factorisation: terminated of agent 0 at step 4: local False, global True, after",
    ),
    "every_method": (
        Domain(whole=leaks(0.1, always)),
        r"compare local_simulator\.step \(.*test_check.py, line \d+\) with global_simulator\.step "
        rf"{HERE}, regions {HERE} and region_noise {HERE}$",
    ),
    "inside_an_array": (
        Domain(
            local=changed(Local, reset=lambda self, key: {"water": jnp.stack([jax.random.uniform(
                key), jnp.float32(0)])}, observe=lambda self, s: s["water"],
                step=lambda self, s, a, i, n: Step(s, jnp.float32(0), jnp.bool_(False))),
            whole=changed(Global, reset=lambda self, key: {"water": jax.random.uniform(
                key, (AGENTS, 2)) * jnp.array([1, 0])},
                step=lambda self, s, a, n: GlobalStep({"water": s["water"].at[4, 1].set(0.5)},
                    jnp.zeros(AGENTS), jnp.bool_(False), jnp.zeros((AGENTS, 1), int))),
            scripted={"random": RANDOM},
        ),
        r"factorisation: state\['water'\]\[1\] of agent 4 at step 0: local 0, global 0\.5: ",
    ),
    "dset_late": (
        Domain(
            changed(Local, dset=lambda self, s: self.dset(s) / jnp.where(full(s), 0, 1))
        ),
        rf"local_simulator\.dset at step \d+: not finite, after .*; look for 0/0 .* {HERE}$",
    ),
    "dset_first": (
        Domain(
            changed(Local, dset=lambda self, s: self.dset(s) / jnp.where(s.clock == 0, 0, 1))
        ),
        r"local_simulator\.dset of a first state: not finite",
    ),
    "influence_wrapped": (
        Domain(whole=steps(Global, influence=lambda m: (m.influence - 2).astype(jnp.uint8))),
        "agent 0, source 0 has class 255, which is what uint8 makes of -1; classes are",
    ),
    "influence_bytes": (
        Domain(whole=steps(Global, influence=lambda m: (m.influence - 2).astype(jnp.int8))),
        r"influence at step 0: agent 0, source 0 has class -1; classes are 0 \.\. 1",
    ),
    "ends_at_once": (
        Domain(steps(Local, terminated=always), steps(Global, terminated=always)),
        rf"global_simulator\.step terminated {HERE}: every episode ended at its first step; ",
    ),
    "local_reset": (
        Domain(changed(Local, reset=constant)),
        rf"local_simulator\.reset {HERE}: gives the same state for 10 keys, but the regions of "
        "global_simulator.reset differ; draw it from the key",
    ),
    "noise_form": (
        Domain(whole=changed(Global, region_noise=lambda self, n: (n, n))),
        r"region_noise: another structure than local_simulator\.noise gives",
    ),
    "more_agents": (
        Domain(whole=changed(Global, regions=lambda self, s: jax.tree.map(
            lambda x: jnp.append(x, x[:1]), s))),
        r"regions: shape \[7\], expected \[6, \.\.\.\]; stack all 6 agents",
    ),
    "policy_alone": (
        Domain(scripted={"random": RANDOM, "odd": Policy(lambda k, s: s.opened // 2)}),
        r"scripted\['odd'\]: action [2-9]; actions are 0 \.\. 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_sentence(name: str) -> None:
    domain, words = FAULTS[name]
    with pytest.raises(UserError, match=words) as caught:
        check_domain(domain, episodes=1)
    assert str(caught.value).count("\n") == 0


def test_a_sum_in_another_order_passes_and_is_said() -> None:
    said = check_domain(Domain())
    (line,) = (line for line in said if "equal their regions" in line)
    found = re.fullmatch(
        r"local simulators equal their regions to rounding over \d+ global steps: "
        r"largest difference (\d(\.\d)?e-0[678])", line,
    )  # fmt: skip
    assert found, line
    assert 0 < float(found[1]) < 1e-6
    assert len(said) == 5


SAME = "gives the same state for 10 keys: right if all episodes begin alike"
SOUND: dict[str, tuple[Any, list[str]]] = {
    "same_start": (
        Domain(changed(Local, reset=constant), changed(Global, reset=constant)),
        [f"note: global_simulator.reset {SAME}", f"note: local_simulator.reset {SAME}"],
    ),
    "global_same_start": (
        Domain(whole=changed(Global, reset=constant)), [f"note: global_simulator.reset {SAME}"]
    ),
    "one_step": (
        Domain(steps(Local, terminated=always), steps(Global, terminated=always),
               spec=sizes(horizon=1)), [],
    ),
    "long": (
        Domain(spec=sizes(horizon=100_000_000)),
        ["note: of episodes of 100,000,000 steps the first 2,000 were followed",
         r"note: an episode of 100,000,000 steps has 5.4 GB of d-sets and influence"],
    ),
    "all_end": (
        Domain(steps(Local, terminated=lambda m: m.state.clock > 9),
               steps(Global, terminated=lambda m: (m.state.clock > 9).all())), [],
    ),
    "masked": (Domain(action_mask=np.arange(2) < 1 + np.arange(AGENTS)[:, None] % 2), []),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_relative_passes(name: str) -> None:
    domain, notes = SOUND[name]
    found = [line for line in check_domain(domain, episodes=1) if line.startswith("note: ")]
    assert len(found) == len(notes), found
    assert all(map(str.startswith, found, notes)), found


def test_the_corners_heed_the_mask() -> None:
    domain = Domain(spec=sizes(actions=40))
    domain.action_mask = np.zeros((AGENTS, 40), bool)
    for agent, able in enumerate(([3], [0, 39], [5, 6, 7], [1, 2], range(40), [39])):
        domain.action_mask[agent, list(able)] = True
    found = corners(domain, 0, 99)
    assert len({tuple(row) for row in found.values()}) == len(found) > 16
    for row in found.values():
        assert domain.action_mask[np.arange(AGENTS), row].all()
    assert found["everybody plays the first action"].tolist() == [3, 0, 5, 1, 0, 39]
    assert found["everybody plays the last action"].tolist() == [3, 39, 7, 2, 39, 39]
    assert len(corners(domain, 0, 0)) == 2


# --- Differences


def _differ(mine: Any, theirs: Any) -> bool:
    return bool(beyond_rounding(difference(mine, theirs), np.ones((), bool)))


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50),
    st.permutations(range(50)),
    st.sampled_from([1.0, 1e-3, 1e4]),
)
def test_the_order_of_a_sum_is_rounding(terms: list[float], order: list[int], scale: float) -> None:
    mine, theirs = np.float32(0), np.float32(0)
    for index in range(50):
        mine += np.float32(scale) * np.float32(terms[index % len(terms)])
    for index in order:
        theirs += np.float32(scale) * np.float32(terms[index % len(terms)])
    # Beside terms of their size, as where a field has many elements.
    sums = np.array([mine, 50 * scale], np.float32), np.array([theirs, 50 * scale], np.float32)
    if scale <= 1:
        assert not _differ(*sums)
    apart = abs(float(mine) - float(theirs))
    assert largest_distance(difference(*sums), np.ones((), bool)) == pytest.approx(apart)


@given(
    st.floats(1e-4, 1e4), st.sampled_from([np.float32, np.float16]), st.floats(-1, 1), st.booleans()
)
def test_a_real_difference_is_none(size: float, kind: type, part: float, in_company: bool) -> None:
    """By relative size, at any magnitude: 64 units in the last place, or a hundredth."""
    mine = np.array([size, 0.0 if in_company else size], kind)
    theirs = (mine * (1 + part * 0.1)).astype(kind)
    apart = abs(float(mine[0]) - float(theirs[0]))
    allowed = relative(kind) * max(float(mine.max()), float(theirs.max()))
    if apart > 1.01 * allowed:
        assert _differ(mine, theirs)
    elif apart < 0.99 * allowed:
        assert not _differ(mine, theirs)


@given(st.integers(-(2**31), 2**31 - 2))
def test_whole_numbers_are_equal_or_not(number: int) -> None:
    mine = np.array([0, number], np.int32)
    assert not _differ(mine, mine.copy())
    assert _differ(mine, mine + np.array([0, 1], np.int32))
    assert int(difference(mine, mine + np.array([0, 1], np.int32)).place) == 1


@pytest.mark.parametrize(
    ("mine", "theirs", "differ"),
    [
        (np.nan, np.nan, False),
        (np.nan, 1.0, True),
        (np.inf, np.inf, False),
        (np.inf, 1.0, True),
        (np.inf, -np.inf, True),
        (True, False, True),
        (1, 1.0, False),
        (1e-9, 1.001e-9, True),
        (1.0, 1.0 + 1e-6, False),
        (1.0, 1.001, True),
        (jax.random.key(1), jax.random.key(1), False),
        (jax.random.key(1), jax.random.key(2), True),
    ],
)
def test_special_values(mine: Any, theirs: Any, differ: bool) -> None:
    assert _differ(mine, theirs) == differ


# --- Entities


class Mice:
    """Each lives until it is caught, some time after its third step."""

    def reset(self, key: Any) -> Any:
        return jax.random.bernoulli(key, 0.9, (AGENTS,)), jnp.int32(0)

    def observe(self, state: Any) -> Any:
        clock = jnp.broadcast_to(state[1].astype(jnp.float32), (AGENTS,))
        return jnp.stack([state[0].astype(jnp.float32), clock], 1)

    def alive(self, state: Any) -> Any:
        return state[0]

    def action_mask(self, state: Any) -> Any:
        return state[0][:, None] & jnp.array([False, True, True])

    def noise(self, key: Any) -> Any:
        return jax.random.uniform(key, (AGENTS,))

    def step(self, state: Any, actions: Any, noise: Any) -> EntityStep:
        alive = state[0] & ((noise > 0.1) | (state[1] < 3))
        return EntityStep((alive, state[1] + 1), jnp.where(state[0], noise, 0.0), ~alive.any())


def mouse(key: Any, observation: Any, mask: Any) -> Any:
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


class Barn:
    name = "barn"

    def __init__(self, simulator: Any = None, **attributes: Any) -> None:
        self.agents, self.scripted = AGENTS, {"random": mouse}
        self.spec = sizes(actions=3, dset=0, sources=0, classes=0)
        self.entity_simulator = simulator or Mice()
        self.__dict__ |= attributes


def where_all(action: int, value: float) -> Any:
    """A reward that is odd where all mice that live do the same, after the third step."""

    def step(self: Any, state: Any, actions: Any, noise: Any) -> Any:
        moved = self.step(state, actions, noise)
        odd = ((actions == action) | ~state[0]).all() & (state[1] > 3)
        return moved._replace(reward=jnp.where(odd, value, moved.reward))

    return changed(Mice, step=step)


BARNS: dict[str, tuple[Any, str]] = {
    "sound": (Barn(), ""),
    "same_start": (
        Barn(changed(Mice, reset=lambda self, key: (jnp.ones(AGENTS, bool), jnp.int32(0)))),
        f"note: entity_simulator.reset {SAME}",
    ),
    "first_action": (
        Barn(where_all(1, jnp.nan)),
        r"reward: not finite \(step \d+, the first possible action\); see docs/separation.md",
    ),
    "last_action": (
        Barn(where_all(2, 1.0)),
        r"an empty slot earned something \(step \d+, the last possible action\); pay entities at",
    ),
    "scripted": (
        Barn(scripted={"random": mouse, "late": lambda key, seen, mask: jnp.where(
            seen[1] > 2, 0, mask.argmax())}),
        r"an action that its mask does not allow \(step 3, scripted\[.late.\]\)",
    ),
    "at_once": (Barn(steps(Mice, terminated=always)), "every episode ended at its first step"),
}  # fmt: skip


@pytest.mark.parametrize("name", BARNS)
def test_entities_are_judged_by_the_same_plays(name: str) -> None:
    domain, words = BARNS[name]
    if not words or words.startswith("note"):
        said = check_domain(domain, episodes=1)
        assert [line for line in said if words and line.startswith(words)] == said[4:]
        assert len(said) == 4 + bool(words)
    else:
        with pytest.raises(UserError, match=words):
            check_domain(domain, episodes=1)


# --- A global simulator outside of JAX


class Here:
    """A session in this process."""

    restarts = 0

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator

    def forget(self) -> None:
        pass

    def begin(self, method: str, *arguments: Any) -> Any:
        return self.call(method, *arguments)

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self._simulator, method)(*arguments)

    def ask(self, method: str, *arguments: Any) -> None:
        self._answer = self.call(method, *arguments)

    def answer(self) -> Any:
        return self._answer


class Plain:
    """The river in NumPy, in 64 bits: a session's class."""

    def reset(self, seed: int, controller: str | None = None, figures: bool = False) -> Any:
        self._random = np.random.default_rng(seed)
        self.level = self._random.uniform(0.2, 0.9, AGENTS)
        self.opened = self.turned = self.was = self.clock = np.zeros(AGENTS, int)
        return self.seen()

    def step(self, actions: np.ndarray) -> Any:
        wave = (actions == 1) & (self.level > 0.4)
        comes = np.concatenate([[1], wave[:-1].astype(int)])
        self.rain = 0.1 * self._random.random(AGENTS)
        self.level = self.level * (0.9 - 0.3 * actions) + (0.13 * comes + self.rain)
        self.opened, self.clock = (self.opened + 1) * actions, self.clock + 1
        self.turned, self.was = self.turned + (actions != self.was), actions
        moved = {"reward": -abs(self.level - 0.5), "terminated": False}
        return {**self.seen(), **moved, "influence": comes[:, None]}

    def seen(self) -> Any:
        seen = np.stack([self.level, self.opened], 1)
        return {"observation": seen, "dset": seen}

    def metrics(self) -> Any:
        return {"level": self.level.mean()}


class Shown(Plain):
    """It shows its regions too."""

    def regions(self) -> Any:
        return {name: getattr(self, name) for name in Reach._fields}

    def region_noise(self) -> Any:
        return self.rain


class Hosts:
    restarts = 0

    def __init__(self, made: Any) -> None:
        self._made = made

    def sessions(self, count: int) -> list[Here]:
        return [Here(self._made()) for _ in range(count)]


def hosted(base: type = Shown, **methods: Callable[..., Any]) -> Domain:
    """A river on hosts, with other methods."""
    made = (lambda: changed(base, **methods)) if methods else base
    return Domain(whole=Hosts(made), scripted={"random": "random"})


def answers(**changes: Callable[[Any], Any]) -> Domain:
    """One whose steps answer otherwise."""

    def step(self: Any, actions: np.ndarray) -> Any:
        moved = self.step(actions)
        return {**moved, **{name: change(moved) for name, change in changes.items()}}

    return hosted(step=step)


def leaks_where_all_are_shut(self: Any, actions: np.ndarray) -> Any:
    moved = self.step(actions)
    own = self.__self__
    if not actions.any():
        own.level = own.level * np.where(np.arange(AGENTS) == 2, 1.001, 1)
    return {**moved, **own.seen()}


NO_REGIONS = (
    "note: factorisation was not tested: the sessions have no regions(), the local state of every "
    "region; see docs/own-domain.md"
)
HOSTED_FAULTS: dict[str, tuple[Domain, str]] = {
    "leak": (
        hosted(step=leaks_where_all_are_shut),
        r"factorisation: state\.level of agent 2 at step \d+: local 0\.\d+, global 0\.\d+: "
        rf"difference \d.* may explain .*; compare local_simulator\.step {HERE} "
        "with step, regions and region_noise of the session$",
    ),
    "reward": (answers(reward=lambda m: m["reward"] + 0.1), "factorisation: reward of agent"),
    "ends": (
        answers(terminated=lambda m: bool(m["observation"][0, 1] > 2)),
        r"factorisation: terminated of agent 0 at step \d+: local False, global True",
    ),
    "at_once": (answers(terminated=lambda m: True), "factorisation: terminated of agent 0"),
    "no_regions_at_once": (
        hosted(Plain, step=lambda self, a: {**self.step(a), "terminated": True}),
        "terminated at step 0: every episode ended at its first step",
    ),
    "observation": (
        answers(observation=lambda m: m["observation"] * 1.01),
        r"observation\[1\] of agent \d at step 0: local .*, of the session's own regions; compare "
        rf"local_simulator\.observe {HERE} with what the session shows",
    ),
    "few": (
        hosted(regions=lambda self: {name: x[1:] for name, x in self.regions().items()}),
        r"regions of a session: shape \[5\], expected \[6, \.\.\.\]; stack all 6 agents",
    ),
    "field": (
        hosted(regions=lambda self: {"level": self.regions()["level"]}),
        "regions of a session: has level; its fields are level, opened, turned, was, clock",
    ),
    "kind": (
        hosted(regions=lambda self: {**self.regions(), "opened": np.zeros(AGENTS)}),
        r"regions of a session: float32\[\] where local_simulator\.reset gives int32\[\]",
    ),
    "influence_minus": (
        answers(influence=lambda m: m["influence"] * 0 - 1),
        r"influence at step 0: agent 0, source 0 has class -1; classes are 0 \.\. 1",
    ),
    "influence_minus_in_bytes": (
        answers(influence=lambda m: (m["influence"] * 0 - 1).astype(np.int8)),
        "influence at step 0: agent 0, source 0 has class -1",
    ),
    "influence_wrapped": (
        answers(influence=lambda m: (m["influence"] * 0 - 1).astype(np.uint8)),
        "influence at step 0: agent 0, source 0 has class 255, which is what uint8 makes of -1",
    ),
    "influence_of_one": (
        answers(influence=lambda m: np.where(np.arange(AGENTS)[:, None] == 3, -1, 9)),
        "influence at step 0: agent 0, source 0 has class 9",
    ),
    "influence_bool": (
        answers(influence=lambda m: m["influence"] > 0), "influence has type bool, expected integ"
    ),
    "dset_late": (
        answers(dset=lambda m: np.where(m["dset"] > 3, np.nan, m["dset"])), "dset is not finite"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTED_FAULTS)
def test_each_fault_of_a_host_has_its_sentence(name: str) -> None:
    domain, words = HOSTED_FAULTS[name]
    with pytest.raises(UserError, match=words):
        check_domain(domain, episodes=1)


HOSTED_SOUND: dict[str, tuple[Domain, str]] = {
    "regions": (hosted(), "local simulators equal their regions over 80 global steps, to rounding"),
    "no_regions": (hosted(Plain), re.escape(NO_REGIONS)),
    "no_noise": (
        hosted(type("NoNoise", (Plain,), {"regions": Shown.regions})),
        r"note: factorisation was not tested: the local simulator throws dice, and the sessions "
        r"have no region_noise\(\)",
    ),
    "one_seed": (
        hosted(reset=lambda self, seed, *more: self.reset(0, *more)),
        r"note: 2 seeds give the same episode: right if nothing is random",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTED_SOUND)
def test_a_sound_host_passes(name: str) -> None:
    domain, words = HOSTED_SOUND[name]
    found = check_domain(domain)
    assert any(re.match(words, line) for line in found), found
    assert len(found) == 4 + (name == "one_seed")
