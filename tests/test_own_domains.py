"""Domains as strangers write them: each fault is one sentence, by `check` and by `train`.

Every odd domain differs in one thing from one of four that are sound: agents and entities, traced
and on hosts. `MODULE:NAME` finds them here by their names in `ODD`.
"""

import inspect
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hinterland.cli import main
from hinterland.config import make_config
from hinterland.core import AgentSpec, EntityStep, Step, UserError
from hinterland.core.blame import place_of
from hinterland.core.spec import integers_for
from hinterland.domains.corridor import Conveyor, Corridor, Station
from hinterland.domains.pool import SharingPool
from hinterland.influence import as_batches
from hinterland.record import RunFolder
from hinterland.rollout import HostActor, first_place, whole_system
from hinterland.rollout.episodes import Episodes, host_episodes
from odd_sessions import LATE

HERE, AGENTS = Path(__file__).stem, 3
TINY = (
    "--network feed-forward --hidden 8 --trunk 8 --copies 8 --window 4 --steps 16 "
    "--evaluate-episodes 2 --final-episodes 2 --devices 1 --quiet"
).split()
PREDICTED = (
    "--predictor feed-forward --predictor-hidden 8 --refresh 16 --predictor-episodes 2 "
    "--predictor-epochs 1"
).split()


def sizes(**others: Any) -> AgentSpec:
    """Of the sound domains."""
    spec = {"observation": 3, "actions": 2, "dset": 3, "sources": 1, "classes": 2, "horizon": 4}
    return AgentSpec(**{**spec, **others})


# --- Traced agents


def agents(local: Any = None, whole: Any = None, **attributes: Any) -> Callable[[int], Any]:
    """A factory of corridors with other parts; parts may be classes."""

    def make(count: int) -> Any:
        domain = Corridor(count)
        domain.spec = sizes()
        domain.local_simulator = local or Station()
        domain.global_simulator = whole(count) if whole else Conveyor(count)
        domain.__dict__ |= attributes
        return domain

    return make


def without(name: str) -> Callable[[int], Any]:
    def make(count: int) -> Any:
        plain = agents()(count)
        names = ("name", "agents", "spec", "local_simulator", "global_simulator", "scripted")
        return type("Own", (), {x: getattr(plain, x) for x in names if x != name})()

    return make


def station(**methods: Any) -> Any:
    """A local simulator with other methods, which get the sound one first."""
    return _with(Station, methods)()


def conveyor(**methods: Any) -> Any:
    return _with(Conveyor, methods)


def _with(base: type, methods: dict[str, Any]) -> type:
    def bound(method: Any) -> Any:
        return lambda self, *x: method(super(made, self), *x)

    made = type("Own", (base,), {})
    for name, method in methods.items():
        setattr(made, name, bound(method) if callable(method) else method)
    return made


def moves(**changes: Any) -> Any:
    """A global simulator whose step gives other things: functions of what it gave."""

    def step(sound: Any, state: Any, actions: Any, noise: Any) -> Any:
        moved = sound.step(state, actions, noise)
        return moved._replace(**{name: change(moved) for name, change in changes.items()})

    return conveyor(step=step)


def later(moved: Any, value: float, otherwise: Any) -> Any:
    """`value` in the first agent's place where a station is full; few first states have one."""
    where = (moved.state.max() == 2) & (jnp.arange(len(moved.state)) == 0)
    return jnp.where(where.reshape(-1, *([1] * (otherwise.ndim - 1))), value, otherwise)


class Policy:
    initial = None

    def __init__(self, act: Any, initial: Any = None) -> None:
        self._act, self.initial = act, initial

    def __call__(self, key: Any, memory: Any, state: Any) -> Any:
        return self._act(key, memory, state)


def scripted(act: Any, initial: Any = None) -> Callable[[int], Any]:
    return agents(scripted={**Corridor.scripted, "heuristic": Policy(act, initial)})


class Counter:
    count = 0

    def __call__(self, sound: Any, *arguments: Any) -> Any:
        self.count += 1
        return sound.observe(*arguments) + self.count


def raises(*_: Any) -> Any:
    raise ValueError("wrong sign\nsecond line")


RAISED = rf"ValueError: wrong sign \(.*{HERE}.py, line \d+\)$"


def asks_a_tracer(sound: Any, state: Any) -> Any:
    return sound.observe(state if state > 0 else 0)


def calls_back(sound: Any, state: Any) -> Any:
    seen = sound.observe(state)
    form = jax.ShapeDtypeStruct(seen.shape, seen.dtype)
    return jax.pure_callback(raises, form, state, vmap_method="sequential")


def spec_of(**others: Any) -> Callable[[int], Any]:
    return lambda count: agents(spec=sizes(**others))(count)


def unseeded(sound: Any, key: Any) -> Any:
    return sound.reset(jax.random.fold_in(key, int(np.random.default_rng().integers(1 << 30))))


class Exits:
    def __call__(self, count: int) -> Any:
        raise SystemExit(0)


PLACE = rf"\(.*{HERE}.py, line \d+\)$"
TRACED: dict[str, tuple[Any, str]] = {
    "horizon_0": (spec_of(horizon=0), f"AgentSpec: horizon is 0; .* at least 1 {PLACE}"),
    "horizon_float": (spec_of(horizon=4.0), "horizon is 4.0; it must be a whole number"),
    "actions_0": (spec_of(actions=0), "actions is 0; .* at least 1"),
    "actions_true": (spec_of(actions=True), "actions is True"),
    "observation_0": (spec_of(observation=0), "observation is 0; .* at least 1"),
    "observation_none": (spec_of(observation=None), "observation is None"),
    "classes_negative": (spec_of(classes=-1), "classes is -1; .* at least 0"),
    "no_classes": (spec_of(classes=0), "sources is 1, so dset and classes must be at least 1"),
    "no_dset": (spec_of(dset=0), "sources is 1, so dset and classes must be at least 1"),
    "seven": (agents(agents=7), "called with 3 agents, made a domain whose 'agents' is 7"),
    "agents_text": (agents(agents="3"), "'agents' is '3'"),
    "agents_float": (agents(agents=3.0), r"'agents' is 3\.0"),
    "factory_raises": (raises, f"factory, called with 3 agents: {RAISED}"),
    "factory_exits": (Exits(), f"SystemExit: 0 {PLACE}"),
    "factory_signature": (lambda: None, f"TypeError: .* takes 0 positional .* {PLACE}"),
    "factory_none": (lambda count: None, "returned None and no domain"),
    "without_agents": (without("agents"), "has no attribute 'agents'"),
    "without_spec": (without("spec"), "has no attribute 'spec'"),
    "without_local": (without("local_simulator"), "has no attribute 'local_simulator'"),
    "without_scripted": (without("scripted"), "has no attribute 'scripted'"),
    "spec_dict": (agents(spec={"horizon": 4}), r"domain.spec: is a dict; give a .*AgentSpec"),
    "name_number": (agents(name=5), "domain.name: is 5"),
    "scripted_list": (agents(scripted=[raises]), "domain.scripted: is a list"),
    "scripted_number": (agents(scripted={1: raises}), "its name is a int"),
    "scripted_text": (agents(scripted={"random": "random"}), "'random' cannot be called"),
    "no_initial": (agents(scripted={"random": raises}), "has no attribute 'initial'"),
    "no_random": (agents(scripted={}), "has no policy 'random'"),
    "policy_float": (scripted(lambda k, m, s: (s * 0.5, m)), r"action: type float32, expected int"),
    "policy_range": (scripted(lambda k, m, s: (s, m)), r"action 2; actions are 0 \.\. 1"),
    "policy_negative": (scripted(lambda k, m, s: (s - 1, m)), r"action -1; actions are 0 \.\. 1"),
    "policy_alone": (scripted(lambda k, m, s: s), r"return \(action, memory\)"),
    "policy_memory": (scripted(lambda k, m, s: (s * 0, 1.0)), "memory: another structure"),
    "policy_memory_type": (scripted(lambda k, m, s: (s * 0, m * 0.5), 0), "memory: float32"),
    "policy_raises": (scripted(raises), rf"scripted\['heuristic'\]: raised {RAISED}"),
    "mask_shape": (agents(action_mask=np.ones((3, 3), bool)), r"shape \[3, 3\], expected \[3, 2\]"),
    "mask_float": (agents(action_mask=np.ones((3, 2))), "domain.action_mask: type float64"),
    "mask_none": (agents(action_mask=np.eye(3, 2, dtype=bool)), "agent 2 has no action at all"),
    "roles_gap": (agents(roles=(0, 2, 2)), "without a gap"),
    "roles_short": (agents(roles=(0, 1)), "has 2 entries; one for each of 3"),
    "roles_float": (agents(roles=(0, 1.0, 0)), "number them 0, 1"),
    "notes_text": (agents(notes="careful"), "give a list of sentences"),
    "frame_raises": (agents(frame=raises), f"domain.frame: raised {RAISED}"),
    "scene_empty": (agents(scene=dict), "domain.scene: lacks 'width'"),
    "no_method": (agents(station(noise=None)), "local_simulator: has no method 'noise'"),
    "global_no_method": (agents(whole=conveyor(regions=None)), "has no method 'regions'"),
    "reset_signature": (agents(station(reset=lambda sound: 0)), "local_simulator.reset: raised Ty"),
    "step_tuple": (
        agents(station(step=lambda sound, *x: tuple(sound.step(*x)))),
        r"gave a tuple without 'state'; return hinterland.core.Step\(state, reward, terminated\)",
    ),
    "step_nothing": (agents(whole=conveyor(step=lambda *_: None)), "gave a NoneType without"),
    "no_influence": (
        agents(whole=conveyor(step=lambda sound, *x: Step(*sound.step(*x)[:3]))),
        "gave a Step without 'influence'; return hinterland.core.GlobalStep",
    ),
    "reward_1": (
        agents(station(step=lambda sound, *x: sound.step(*x)._replace(reward=jnp.zeros(1)))),
        r"local_simulator.step reward: shape \[1\], expected \[\]",
    ),
    "reward_nan": (
        agents(whole=moves(reward=lambda m: later(m, jnp.nan, m.reward))),
        r"global_simulator.step reward at step \d: not finite",
    ),
    "reward_text": (agents(whole=moves(reward=lambda m: "much")), "reward: gave a str"),
    "terminated_float": (
        agents(whole=moves(terminated=lambda m: jnp.float32(0))),
        r"terminated: type float32, expected truths \(bool\)",
    ),
    "terminated_int": (agents(whole=moves(terminated=lambda m: 0)), "terminated: type int32"),
    "terminated_each": (
        agents(whole=moves(terminated=lambda m: m.reward > 9)),
        r"terminated: shape \[3\], expected \[\]",
    ),
    "influence_float": (
        agents(whole=moves(influence=lambda m: m.influence * 1.0)),
        "influence: type float32, expected integers",
    ),
    "influence_negative": (
        agents(whole=moves(influence=lambda m: later(m, -1, m.influence))),
        r"influence at step \d: agent 0, source 0 has class -1; classes are 0 \.\. 1",
    ),
    "influence_large": (
        agents(whole=moves(influence=lambda m: later(m, 9, m.influence))),
        r"influence at step \d: agent 0, source 0 has class 9; classes are 0 \.\. 1",
    ),
    "influence_shape": (
        agents(whole=moves(influence=lambda m: m.influence[:, 0])),
        r"influence: shape \[3\], expected \[3, 1\]",
    ),
    "observe_nan": (
        agents(station(observe=lambda sound, s: jnp.where(s == 2, jnp.nan, sound.observe(s)))),
        "local_simulator.observe .*: not finite",
    ),
    "observe_text": (agents(station(observe=lambda *_: "much")), "observe: gave a str"),
    "observe_complex": (agents(station(observe=lambda *_: jnp.zeros(3, complex))), "complex64"),
    "dset_nan": (
        agents(station(dset=lambda sound, s: jnp.where(s == 2, jnp.nan, sound.dset(s)))),
        "local_simulator.dset .*: not finite",
    ),
    "dset_long": (agents(station(dset=lambda *_: jnp.zeros(4))), r"dset: shape \[4\], expected"),
    "state_type": (
        agents(whole=moves(state=lambda m: m.state * 1.0)),
        r"step state: float32\[3\] where reset gives int32\[3\]",
    ),
    "state_form": (agents(whole=moves(state=lambda m: (m.state,))), "state: another structure"),
    "state_shape": (agents(whole=moves(state=lambda m: m.state[:2])), r"int32\[2\] where reset"),
    "state_text": (agents(station(reset=lambda *_: "empty")), "reset: holds a str"),
    "counter": (agents(station(observe=Counter())), "observe: two calls .* differ"),
    "random_reset": (agents(whole=conveyor(reset=unseeded)), "reset: two calls .* differ"),
    "regions_few": (
        agents(whole=conveyor(regions=lambda sound, s: s[:2])),
        r"regions: shape \[2\], expected \[3, \.\.\.\]",
    ),
    "noise_few": (
        agents(whole=conveyor(region_noise=lambda sound, n: jnp.zeros(2))),
        r"region_noise: shape \[2\], expected \[3, \.\.\.\]",
    ),
    "other_rules": (
        agents(station(step=lambda sound, s, a, i, n: sound.step(s, a, i * 0, n))),
        r"factorisation: state of agent \d at step \d",
    ),
    "step_raises": (agents(whole=conveyor(step=raises)), f"global_simulator.step: raised {RAISED}"),
    "tracer": (
        agents(station(observe=asks_a_tracer)),
        f"jnp.where can: raised TracerBoolConversion.* {PLACE}",
    ),
    "callback": (agents(station(observe=calls_back)), f"observe: raised {RAISED}"),
}  # fmt: skip


# --- Traced entities


class Pond:
    """Fish that live to the end, or until `end`."""

    def __init__(self, slots: int, end: int = 99) -> None:
        self.slots, self.end = slots, end

    def reset(self, key: Any) -> Any:
        return jax.random.randint(key, (), 0, 2), jnp.int32(0)

    def observe(self, state: Any) -> Any:
        return jnp.broadcast_to(state[0].astype(jnp.float32), (self.slots, 3))

    def alive(self, state: Any) -> Any:
        return jnp.arange(self.slots) > 0

    def action_mask(self, state: Any) -> Any:
        return self.alive(state)[:, None] & jnp.array([True, False, True])

    def noise(self, key: Any) -> Any:
        return jax.random.uniform(key)

    def step(self, state: Any, actions: Any, noise: Any) -> Any:
        reward = jnp.where(self.alive(state), noise, 0.0)
        clock = state[1] + 1
        return EntityStep((state[0], clock), reward, clock >= self.end)


def _possible(key: Any, observation: Any, mask: Any) -> Any:
    return jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))


class PondDomain:
    name, scripted = "pond", {"random": _possible}

    def __init__(self, count: int, simulator: Any) -> None:
        self.agents, self.entity_simulator = count, simulator
        self.spec = sizes(actions=3, dset=0, sources=0, classes=0)


def entities(attributes: dict[str, Any] | None = None, **methods: Any) -> Callable[[int], Any]:
    def make(count: int) -> Any:
        domain = PondDomain(count, _with(Pond, methods)(count))
        domain.__dict__ |= attributes or {}
        return domain

    return make


def swims(**changes: Any) -> Callable[[int], Any]:
    def step(sound: Any, *arguments: Any) -> Any:
        moved = sound.step(*arguments)
        return moved._replace(**{name: change(moved) for name, change in changes.items()})

    return entities(step=step)


ENTITIES: dict[str, tuple[Any, str]] = {
    "pond_seven": (entities({"agents": 7}), "'agents' is 7"),
    "pond_no_random": (entities({"scripted": {}}), "has no policy 'random'"),
    "pond_not_callable": (entities({"scripted": {"random": 3}}), "3 cannot be called"),
    "pond_forbidden": (
        entities({"scripted": {"random": lambda k, o, m: jnp.int32(1)}}),
        r"scripted\['random'\]: action 1; its mask allows \[0, 2\]",
    ),
    "pond_float": (
        entities({"scripted": {"random": lambda k, o, m: 0.5}}), "type float32, expected integers"
    ),
    "pond_policy_raises": (entities({"scripted": {"random": raises}}), f"raised {RAISED}"),
    "pond_no_method": (entities(alive=None), "entity_simulator: has no method 'alive'"),
    "pond_alive_int": (entities(alive=lambda *_: jnp.ones(3, int)), "alive: type int32"),
    "pond_mask_float": (
        entities(action_mask=lambda *_: jnp.ones((3, 3))), "action_mask: type float32"
    ),
    "pond_mask_shape": (entities(action_mask=lambda *_: jnp.ones((3, 2), bool)), r"\[3, 2\], exp"),
    "pond_observe_nan": (
        entities(observe=lambda p, s: p.observe(s) / jnp.where(s[1] > 1, 0, 1)), "observation: not"
    ),
    "pond_reward_nan": (
        swims(reward=lambda m: m.reward / jnp.where(m.state[1] > 1, 0, 1)), "reward: not finite"
    ),
    "pond_reward_1": (swims(reward=lambda m: jnp.zeros(1)), r"reward: shape \[1\], expected \[3\]"),
    "pond_terminated": (swims(terminated=lambda m: 0.0), "terminated: type float32"),
    "pond_state": (swims(state=lambda m: (m.state[0], m.state[1] * 1.0)), r"state: float32\[\] w"),
    "pond_tuple": (entities(step=lambda p, *x: tuple(p.step(*x))), "without 'state'"),
    "pond_central": (entities(central=lambda *_: jnp.zeros((3, 3))), "give one vector"),
    "pond_figures": (entities(figures=lambda *_: {"won": jnp.zeros(3)}), r"'won': shape \[3\]"),
    "pond_raises": (entities(step=raises), f"entity_simulator.step: raised {RAISED}"),
}  # fmt: skip


# --- On hosts


class Pool(SharingPool):
    """Processes of one kind of session for all domains of its kind."""

    def __init__(self, target: str, *arguments: Any) -> None:
        super().__init__()
        self._target, self._arguments = target, arguments

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        return self._first(count, f"odd_sessions:{self._target}", *self._arguments, each=each)


@cache
def pool(target: str, actions: int, classes: int) -> Pool:
    return Pool(target, AGENTS, actions, classes)


class Hosts:
    """A simulator on hosts whose sessions have one fault."""

    restarts = 0

    def __init__(self, fault: str, pool: Pool) -> None:
        self._fault, self._pool = fault, pool

    def sessions(self, count: int) -> list[Any]:
        found = self._pool.sessions(count)
        if self._fault:
            for session in found:
                session.begin("become", self._fault)
        return found


class HostDomain:
    name = "line"
    scripted = {"random": "random", "heuristic": "heuristic"}  # noqa: RUF012 - never mutated

    def __init__(self, fault: str, target: str, actions: int, classes: int) -> None:
        self.agents = AGENTS
        self.spec = sizes(actions=actions, classes=classes)
        self.local_simulator = Station()
        self.global_simulator = Hosts(fault or "none", pool(target, actions, classes))


def hosts(
    fault: str = "", target: str = "Agents", actions: int = 2, classes: int = 2, **attributes: Any
) -> Callable[[int], Any]:
    def make(count: int) -> Any:
        domain = HostDomain(fault, target, actions, classes)
        domain.__dict__ |= attributes
        return domain

    return make


def slots(fault: str, **attributes: Any) -> Callable[[int], Any]:
    def make(count: int) -> Any:
        simulator = Hosts(fault, pool("Slots", 3, 1))
        simulator.__dict__ |= attributes
        return PondDomain(count, simulator)

    return make


LACKS = "line at .*: what a session's reset or step gives lacks"
HOSTS: dict[str, tuple[Any, str]] = {
    "host_dset": (hosts("dset=lacks"), rf"{LACKS} 'dset' \(numbers of shape \[3, 3\]\)"),
    "host_influence": (hosts("influence=lacks"), rf"{LACKS} 'influence' \(integers of shape"),
    "host_observation": (hosts("observation=lacks"), f"{LACKS} 'observation'"),
    "host_reward": (hosts("reward=lacks"), f"{LACKS} 'reward'"),
    "host_terminated": (hosts("terminated=lacks"), f"{LACKS} 'terminated'"),
    "host_negative": (
        hosts("influence=-1"), r"influence at step 0: .* class -1; classes are 0 \.\. 1"
    ),
    "host_nine": (hosts("influence=9"), "agent 0, source 0 has class 9"),
    "host_influence_float": (hosts("influence=1.0"), "influence has type float64, expected integ"),
    "host_influence_short": (hosts("influence=short"), r"shape \[2, 1\], expected \[3, 1\]"),
    "host_dset_nan": (hosts("dset=nan"), "line at reset: dset is not finite"),
    "host_dset_one": (hosts("dset=one"), r"dset has shape \[1\], expected \[3, 3\]"),
    "host_nan": (hosts("observation=nan"), "observation is not finite"),
    "host_text": (hosts("observation=text"), "observation has type <U4, expected numbers"),
    "host_ragged": (hosts("observation=ragged"), "observation is not one array of numbers"),
    "host_huge": (hosts("observation=huge"), "observation is not finite"),
    "host_reward_nan": (hosts("reward=nan"), r"reward is not finite \(NaN or infinite, at \[1\]\)"),
    "host_reward_one": (hosts("reward=one"), r"reward has shape \[1\], expected \[3\]"),
    "host_terminated_float": (hosts("terminated=0.0"), "terminated has type float64, expected tru"),
    "host_terminated_one": (hosts("terminated=one"), r"terminated has shape \[1\], expected \[\]"),
    "host_list": (hosts("list"), "return a dictionary, not a list"),
    "host_unseeded": (hosts("unseeded"), "two episodes with the same seed and actions differ"),
    "host_metrics": (hosts("metrics"), "metrics of a session gives figures by name, not a list"),
    "host_controller": (hosts("controller"), r"KeyError: 'heuristic' \(.*odd_sessions.py, line"),
    "host_raises": (
        hosts("raises"), r"Agents: ValueError: the sluice is shut \(.*odd_sessions.py, line \d+\)$"
    ),
    "host_few": (hosts("", "Few"), r"Few: TypeError: .*reset\(\) takes 2 positional arguments"),
    "host_fails": (hosts("", "Fails"), r"Fails: OSError: no water \(.*odd_sessions.py, line \d+\)"),
    "host_no_class": (hosts("", "Nobody"), "module 'odd_sessions' has no 'Nobody'"),
    "host_policy": (hosts(scripted={"random": Policy(raises)}), "the name of a session's contr"),
    "host_local": (hosts(local_simulator=station(dset=None)), "local_simulator: has no method 'ds"),
    "slots_mask": (slots("mask=lacks"), r"lacks 'mask' \(truths \(bool\) of shape \[3, 3\]\)"),
    "slots_mask_nan": (slots("mask=nan"), "mask has type float64, expected truths"),
    "slots_alive": (slots("alive=1.0"), "alive has type float64, expected truths"),
    "slots_reward": (slots("reward=lacks"), "lacks 'reward'"),
    "slots_terminated": (slots("terminated=0.0"), "terminated has type float64"),
    "slots_central": (slots("none", central=5), "lacks 'central'"),
    "slots_metrics": (slots("metrics"), "metrics of a session gives figures by name"),
}  # fmt: skip

ODD = TRACED | ENTITIES | HOSTS
TRAINED = list(ODD)[::4]
"""Tried by `train` too, which asks the same judge before it begins."""
SOUND: dict[str, Any] = {
    "plain": agents(),
    "same_start": agents(whole=conveyor(reset=lambda sound, key: jnp.zeros(3, int))),
    "no_noise": agents(
        whole=conveyor(
            noise=lambda sound, key: (),
            step=lambda sound, s, a, n: sound.step(s, a, jnp.float32(0)),
        )
    ),
    "numpy_sizes": agents(spec=sizes(horizon=np.int64(4), actions=np.uint8(2))),
    "pond": entities(),
    "line": hosts(),
    "sound_slots": slots("none"),
    "line_70000": hosts(actions=70_000),
    "in_evaluation": agents(station(observe=lambda *x: raises_in("training/evaluate.py")(*x))),
    "in_a_worker": agents(station(observe=lambda *x: raises_in("training/workers.py")(*x))),
}


def __getattr__(name: str) -> Any:
    if name in SOUND:
        return SOUND[name]
    if name in ODD:
        return ODD[name][0]
    raise AttributeError(name)


@pytest.fixture(autouse=True)
def _children_find_the_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")


def _said(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """The one sentence of a command that refused."""
    told = [line for line in capsys.readouterr().err.splitlines() if "(compiling" not in line]
    told = [line for line in told if line.startswith("hinterland ")]
    assert len(told) == 1, told
    return told[0].removeprefix(f"hinterland {command}: ")


def test_there_are_many_of_them() -> None:
    assert len(ODD) >= 100
    assert not (set(ODD) | set(SOUND)) & set(globals())


@pytest.mark.parametrize("name", ODD)
def test_an_odd_domain_is_refused_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    domain = f"{HERE}:{name}"
    assert main(["check", domain, "--agents", "3", "--episodes", "1"]) == 2
    said = _said(capsys, "check")
    assert re.search(ODD[name][1], said), said
    if name in TRAINED:
        out = tmp_path / "run"
        assert main(["train", domain, "--agents", "3", "--out", str(out), *TINY]) == 2
        again = _said(capsys, "train")
        assert again.split(";")[0] == said.split(";")[0]
        assert not out.exists()


@pytest.mark.parametrize(
    "name", ["plain", "same_start", "pond", "line", "sound_slots", "numpy_sizes", "no_noise"]
)
def test_a_sound_domain_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{HERE}:{name}", "--agents", "3", "--episodes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    notes = [line for line in lines if not line.startswith("passed: ")]
    expected = {
        "same_start": "note: global_simulator.reset gives the same state for 10 keys",
        "line": "note: factorisation was not tested: the sessions have no regions()",
    }
    assert [line.split(":")[0] for line in notes] == (["note"] if name in expected else [])
    assert all(line.startswith(expected[name]) for line in notes)


def test_many_actions_are_trained_on_hosts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, domain = tmp_path / "run", f"{HERE}:line_70000"
    how = ["--agents", "3", "--simulation", "global", "--out", str(out), "--no-report", *TINY]
    assert main(["train", domain, *how]) == 0, capsys.readouterr().err
    assert RunFolder.read(out).manifest["domain_file"] == str(Path(__file__).resolve())


def raises_in(part: str) -> Callable[..., Any]:
    """An `observe` that raises where that file of ours traces it."""

    def observe(sound: Any, state: Any) -> Any:
        if any(frame.filename.endswith(part) for frame in inspect.stack(0)):
            raise ValueError("wrong sign\nsecond line")
        return sound.observe(state)

    return observe


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in_evaluation", PREDICTED),
        ("in_a_worker", "--schedule pipeline --simulation global --evaluate-every 1000".split()),
    ],
)
def test_what_raises_in_training_is_named(
    name: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert (
        main(["train", f"{HERE}:{name}", "--agents", "3", "--out", str(out), *options, *TINY]) == 2
    )
    assert re.fullmatch(RAISED, _said(capsys, "train"))


def test_what_is_ours_is_no_fault_of_the_user() -> None:
    with ThreadPoolExecutor(1) as threads:
        ours = threads.submit(Conveyor(3).step, None, None, None).exception()
        theirs = threads.submit(raises).exception()
    assert place_of(ours) is None
    assert place_of(theirs)[0] == __file__


def _begun_with(folder: Path, domain: str, file: str) -> str:
    values = make_config({"domain": "corridor", "agents": 3}).model_dump(exclude_none=True)
    made = RunFolder.create(folder, {**values, "domain": domain}, {"domain_file": file})
    made.close()
    return str(folder)


@pytest.mark.parametrize(
    "command", ["evaluate", "watch", "train --resume", "evaluate --policy random"]
)
def test_a_run_says_where_its_module_was(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _begun_with(tmp_path / "run", "gone.mine:make", "/somewhere/gone/mine.py")
    name, *options = command.split()
    arguments = [*options, run] if "--resume" in options else [run, *options]
    assert main([name, *arguments]) == 2
    assert _said(capsys, name) == (
        "module 'gone.mine' is not found from here; when the run began it was "
        "/somewhere/gone/mine.py: go to /somewhere, or put that folder on PYTHONPATH"
    )


def test_a_module_that_lies_elsewhere_now_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _begun_with(tmp_path / "run", f"{HERE}:plain", "/somewhere/test_own_domains.py")
    assert main(["evaluate", run]) == 2  # there is no checkpoint
    note = f"note: module '{HERE}' is {__file__}; when the run began it was /somewhere/"
    assert capsys.readouterr().err.count(note) == 1


def _play(
    domain: Any, chosen: np.ndarray, monkeypatch: pytest.MonkeyPatch, first: int = 0, **wanted: bool
) -> Episodes:
    """Episodes of the seeds `first` and the next, always by the same actions."""
    seeds = iter((first, first + 1))
    monkeypatch.setattr("hinterland.rollout.episodes.episode_seed", lambda key: next(seeds))
    keys, sessions = jax.random.split(jax.random.key(0)), domain.global_simulator.sessions(2)

    def act(keys: Any, t: int, memory: Any, view: Any) -> tuple[np.ndarray, Any]:
        return chosen, memory

    return host_episodes(
        keys, sessions, whole_system(domain), act, (), [None, None], **wanted
    )  # fmt: skip


@pytest.mark.parametrize("actions", [2, 128, 129, 200, 256, 300, 70_000])
def test_sessions_get_the_actions_that_were_chosen(
    actions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = hosts(actions=actions)(AGENTS)
    last = np.full((2, AGENTS), actions - 1, np.int32)
    sessions = domain.global_simulator.sessions(2)
    episodes = _play(domain, last, monkeypatch)
    assert episodes.figures["total"].tolist() == [4 * AGENTS * (actions - 1)] * 2
    assert (episodes.reward == (actions > 128)).all()
    system = whole_system(domain)
    place = first_place(system, 2)
    assert np.iinfo(place.actions.dtype).max >= actions - 1
    actor = HostActor(system, sessions, 0, 0)
    actor.lead(place)
    actor.act(last)
    HostActor(system, sessions, 0, 0).lead(actor.place)
    assert [session.call("metrics")["total"] for session in sessions] == [
        AGENTS * (actions - 1)
    ] * 2


def test_kept_integers_are_wide_enough() -> None:
    widths = {1: 8, 128: 8, 129: 16, 32_768: 16, 32_769: 32, 70_000: 32, 2**31: 32, 2**31 + 1: 64}
    assert {count: np.iinfo(integers_for(count)).bits for count in widths} == widths


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("late dset=lacks", "lacks 'dset'"),
        ("late influence=lacks", "lacks 'influence'"),
        ("late dset=nan", "dset is not finite"),
        ("late reward=nan", "reward is not finite"),
        ("late terminated=0.0", "terminated has type float64"),
        ("late influence=1.0", "influence has type float64, expected integers"),
        ("late influence=-1", r"agent 0, source 0, at step 0 is class -1; classes are 0 \.\. 1"),
        ("late influence=9", r"agent 0, source 0, at step 0 is class 9; classes are 0 \.\. 1"),
    ],
)
def test_a_fault_that_no_check_met_ends_the_collection(
    fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = hosts(fault)(AGENTS)

    def collect(seed: int) -> Any:
        chosen = np.zeros((2, AGENTS), np.int32)
        found = _play(domain, chosen, monkeypatch, seed, with_influence=True)
        return as_batches([found], domain.spec)

    assert len(collect(0)) == AGENTS
    with pytest.raises(UserError, match=words):
        collect(LATE)


def test_what_comes_after_the_end_of_an_episode_counts_for_nothing() -> None:
    alive = np.array([[True], [False]])
    dset = np.array([1.0, np.nan]).reshape(2, 1, 1, 1) * np.ones((1, 1, 3, 3))
    influence = np.array([1, 77]).reshape(2, 1, 1, 1) * np.ones((1, 1, 3, 1), int)

    class Block:
        pass

    block = Block()
    block.__dict__ = {"dset": (dset,), "influence": (influence,), "going": alive}
    batch = as_batches([block], sizes())[0]
    assert np.isfinite(batch.dset).all()
    assert batch.influence[0, :, 0].tolist() == [1, 0]


def test_a_large_class_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = hosts(actions=300, classes=300)(AGENTS)
    chosen = np.zeros((2, AGENTS), np.int32)
    found = _play(domain, chosen, monkeypatch, with_influence=True)
    assert as_batches([found], domain.spec)[2].influence.max() == 299
