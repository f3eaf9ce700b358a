"""The pipeline: its arithmetic by hand, its parts in lockstep as the oracle, and its faults."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hinterland.config import make_config
from hinterland.core import EntityStep, Segment, UserError, View, stream
from hinterland.domains import load_domain
from hinterland.domains.colony import ColonyDomain
from hinterland.learn import Credit, Separation, as_cells, gae, vtrace
from hinterland.nets import ActorCritic, team_network
from hinterland.record import RunFolder
from hinterland.rollout import begin, traced_segment, whole_system
from hinterland.runtime import LocalRuntime, Meters
from hinterland.testing import check_domain
from hinterland.testing.cues import CueDomain, CueSessions
from hinterland.testing.hosted import HostedDomain
from hinterland.training import Experiment, Silent, check_config, opponents, train
from hinterland.training.loop import Loop
from hinterland.training.plan import Plan
from hinterland.training.run import go_on
from hinterland.training.schedules import Pipeline
from hinterland.training.workers import Snapshot, Worker

COLONY = ColonyDomain(5)  # one object: programs are compiled once for all runs
TINY = {
    "agents": 5, "steps": 256, "hidden": 8, "trunk": 8, "copies": 8, "window": 8, "windows": 2,
    "epochs": 2, "minibatches": 4, "evaluate_every": 256, "evaluate_episodes": 2,
    "final_episodes": 2, "refreshes": 1, "simulation": "global",
}  # fmt: skip


class Kept:
    """A record in memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.checkpoints: list[tuple[dict[str, np.ndarray], dict[str, Any]]] = []

    @property
    def logged(self) -> int:
        return len(self.lines)

    def log(self, step: int, wall_s: float, phase: str, values: Any) -> None:
        self.lines.append({"step": step, "phase": phase, **values})

    def save_checkpoint(self, step: int, arrays: Any, meta: dict[str, Any]) -> None:
        self.checkpoints.append(({n: np.array(x) for n, x in arrays.items()}, meta))

    def write_summary(self, summary: dict[str, Any]) -> None:
        self.summary = summary

    def learners(self) -> dict[str, np.ndarray]:
        return {n: x for n, x in self.checkpoints[-1][0].items() if n.startswith(".learners")}


def _run(domain: Any, checkpoint: Any = None, progress: Any = None, **values: Any) -> Kept:
    config = make_config({"domain": domain.name, **TINY, **values})
    kept = Kept()
    train(Experiment(config, domain, LocalRuntime(), kept, progress), checkpoint)
    return kept


def _assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# --- V-trace


def test_vtrace_by_hand() -> None:
    """gamma = 1/2, lambda = 1, ratios 2 and 1/2, the second step the last.

    delta_1 = 4 + 0 - 1 = 3, cut to 1/2: v_1 = 1 + 3/2 = 2.5. delta_0 = 1 + 1/2 - 2 = -1/2, ratio 1:
    v_0 = 2 - 1/2 + 1/2 · 3/2 = 2.25. Advantages: 3, and -1/2 + 1/2 · 3/2 = 1/4.
    """
    found = vtrace(
        jnp.array([1.0, 4.0]), jnp.array([2.0, 1.0]), jnp.array([1.0, 0.0]),
        jnp.array([False, True]), jnp.log(jnp.array([2.0, 0.5])), 0.5, 1.0,
    )  # fmt: skip
    np.testing.assert_allclose(found.target, [2.25, 2.5])
    np.testing.assert_allclose(found.advantage, [0.25, 3.0])
    np.testing.assert_allclose(found.weight, [1.0, 0.5])


def _vtrace_by_sums(r, v, n, done, ratio, gamma, lam):  # type: ignore[no-untyped-def]
    """The definition: v_s = V_s + sum over t of gamma^(t-s) (prod of c_i) rho_t delta_t."""
    rho, c = np.minimum(ratio, 1), lam * np.minimum(ratio, 1)
    delta = r + gamma * n - v
    target = v.copy()
    for s in range(len(r)):
        factor = 1.0
        for t in range(s, len(r)):
            target[s] += factor * rho[t] * delta[t]
            if done[t]:
                break
            factor *= gamma * c[t]
    following = np.append(target[1:] - v[1:], 0.0)
    return target, delta + gamma * lam * np.where(done, 0.0, following)


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_vtrace_equals_its_definition_and_on_policy_gae(
    seed: int, gamma: float, lam: float
) -> None:
    draw = np.random.default_rng(seed)
    reward, value, next_value, log_ratio = draw.normal(size=(4, 12)).astype(np.float32)
    done = draw.random(12) < 0.2
    stream_of = (reward, value, next_value, done)
    found = _jitted_vtrace(*stream_of, log_ratio, gamma, lam)
    target, advantage = _vtrace_by_sums(*stream_of, np.exp(log_ratio), gamma, lam)
    np.testing.assert_allclose(found.target, target, atol=1e-4)
    np.testing.assert_allclose(found.advantage, advantage, atol=1e-4)
    on_policy = _jitted_vtrace(*stream_of, np.zeros(12, np.float32), gamma, lam)
    expected = _jitted_gae(*stream_of, gamma, lam)
    np.testing.assert_allclose(on_policy.advantage, expected, atol=1e-5)
    np.testing.assert_allclose(on_policy.target, value + expected, atol=1e-5)


_jitted_vtrace, _jitted_gae = jax.jit(vtrace), jax.jit(gae)


# --- Credit and networks


def test_credit_is_mixed_within_groups_and_the_team() -> None:
    """Of one step of which nothing follows and nothing was expected: its pay is its advantage."""
    reward, alive = np.array([[[4.0, 2.0, 0.0, 9.0]]]), np.array([[[True, True, True, False]]])
    parts = dict.fromkeys(Segment._fields, np.zeros((1, 1, 4)))
    never = np.zeros((1, 1, 4), bool)
    seen = Segment(**{**parts, "reward": reward, "alive": alive, "acting": alive,
                      "next_alive": never, "ended": never})  # fmt: skip

    def paid(own: float, group: tuple[int, ...]) -> Any:
        credit = Credit(Separation(own=own), group)
        cells = as_cells(stream(0, "k"), seen, credit, 0.0, 0.0)
        return cells.advantage[0, 0]

    np.testing.assert_allclose(paid(1.0, (0, 1, 2, 3)), [4, 2, 0, 0])
    np.testing.assert_allclose(paid(0.0, (0, 1, 2, 3)), [2, 2, 2, 0])
    # Slots 0 and 2 are a group of 4, slot 1 (3 is dead) one of 2; the team's mean is 3.
    np.testing.assert_allclose(paid(0.5, (0, 1, 0, 1)), [3.5, 2.5])


def _shown(observation: Any, actions: int, central: Any = None) -> View:
    """To slots that all live and may do anything."""
    alive = jnp.ones(observation.shape[:2], bool)
    central = jnp.zeros((len(alive), 0)) if central is None else central
    return View(observation, jnp.ones((*alive.shape, actions), bool), alive, alive, central)


@pytest.mark.parametrize("kind", ["gru", "feed-forward"])
def test_slots_use_the_network_of_their_role(kind: Any) -> None:
    roles = (1, 0, 1)
    team = team_network(stream(0, "n"), roles, 3, 2, kind=kind, hidden=4, trunk=4)
    carry = jax.random.normal(stream(0, "c"), team.initial(5).shape)
    observation = jax.random.normal(stream(0, "o"), (5, 3, 3))
    view = _shown(observation, 2)
    after, logits = team.decide(carry, view)
    value = team.value(carry, view)
    for slot, role in enumerate(roles):
        one: ActorCritic = jax.tree.map(lambda x, r=role: x[r], team.actors)
        expected = one.step(carry[:, slot], observation[:, slot])
        for found, wanted in zip((after, logits, value), expected, strict=True):
            np.testing.assert_allclose(found[:, slot], wanted, atol=1e-6)


def test_a_central_critic_sees_the_state_and_the_policy_does_not() -> None:
    team = team_network(stream(0, "n"), (0, 0), 3, 2, central=4, hidden=4, trunk=4)
    here, there = (_shown(jnp.ones((1, 2, 3)), 2, x) for x in (jnp.zeros((1, 4)), jnp.ones((1, 4))))
    logits = [team.decide(team.initial(1), view)[1] for view in (here, there)]
    np.testing.assert_array_equal(*logits)
    values = [np.asarray(team.value(team.initial(1), view)) for view in (here, there)]
    assert (values[0] != values[1]).all()


@pytest.mark.parametrize("roles", [(0,) * 5, tuple(range(5)), (0, 1, 0, 1, 0)])
def test_a_segment_can_be_learned_from_as_it_was_acted(roles: tuple[int, ...]) -> None:
    """From the stored recurrent states, over births, deaths and new episodes: the same numbers."""
    system = whole_system(COLONY)
    team = team_network(stream(0, "n"), roles, 7, 5, hidden=6, trunk=6)
    place = begin(stream(0, "c"), system, team, 4, [0, 40, 70, 93])

    @jax.jit
    def collect(key, place):  # type: ignore[no-untyped-def]
        place, segment, _ = traced_segment(key, system, team, place, 20)
        return place, segment._asdict()

    ended = born = died = 0
    for number in range(3):
        place, found = collect(stream(1, "r", number), place)
        seen = Segment(**found)
        again = team.unroll(seen)
        alive = np.asarray(seen.alive)
        np.testing.assert_allclose(np.where(alive, again[0], 0),
                                   np.where(alive, seen.log_probability, 0), atol=1e-5)  # fmt: skip
        np.testing.assert_allclose(np.where(alive, again[2] - seen.value, 0), 0, atol=1e-5)
        within = ~np.asarray(seen.ended)[:-1]
        following = np.asarray(seen.next_alive)
        np.testing.assert_array_equal(following[:-1][within], alive[1:][within])
        np.testing.assert_allclose(
            np.where(alive[1:], seen.next_value[:-1] - seen.value[1:], 0)[within], 0, atol=1e-6
        )
        ended += int(np.asarray(seen.ended).all(-1).sum())
        born += int((~alive & following).sum())
        died += int((alive & ~following).sum())
    assert ended >= 4
    assert born + died > 0


# --- Lockstep is the oracle


def test_without_lag_the_pipeline_is_lockstep_bit_for_bit() -> None:
    how = {"network": "gru", "credit": 0.75, "slot_networks": "own", "correction": "vtrace"}
    lockstep = _run(COLONY, schedule="lockstep", **how)
    piped = _run(COLONY, schedule="pipeline", lag=0, **how)
    _assert_same(lockstep.learners(), piped.learners())
    assert lockstep.summary["eval"] == piped.summary["eval"]


def test_lockstep_is_resumed_bit_for_bit() -> None:
    how = {"schedule": "lockstep", "evaluate_every": 128, "workers": 2, "network": "gru",
           "slot_networks": "own"}  # fmt: skip
    whole = _run(COLONY, **how)
    assert len(whole.checkpoints) == 2
    resumed = _run(COLONY, whole.checkpoints[0], **how)
    _assert_same(whole.checkpoints[-1][0], resumed.checkpoints[-1][0])


def test_a_pipeline_with_lag_says_where_its_time_went() -> None:
    kept = _run(COLONY, schedule="pipeline", lag=1, workers=2, correction="clip")
    (line,) = [x for x in kept.lines if "pipeline/lag/mean" in x]
    assert line["step"] == 256
    assert 0 <= line["pipeline/lag/mean"] <= line["pipeline/lag/max"]
    shares = [x for name, x in line.items() if name[:13] == "pipeline/lag/" and name[13:].isdigit()]
    assert sum(shares) == pytest.approx(1)
    assert line["train/env_steps_per_s"] * 5 == pytest.approx(line["train/steps_per_s"])
    assert "train/weight" not in line  # nobody is weighed


class _Slow(Worker):
    """Its environments take their time."""

    def segment(self, version: int, snapshot: Snapshot, stopping: Any = None) -> Any:
        time.sleep(0.5)
        return super().segment(version, snapshot)


def test_what_is_too_old_is_dropped_counted_and_replaced() -> None:
    config = make_config({"domain": "colony", **TINY, "windows": 1, "schedule": "pipeline",
                          "workers": 2, "lag": 1})  # fmt: skip
    plan = Plan(config, COLONY)
    network, device = plan.network(), jax.devices()[0]
    workers = [kind(plan, i, (), device) for i, kind in enumerate((_Slow, Worker))]
    for worker in workers:
        worker.prepare(worker.first_state(network, ()), None)
        worker.segment(0, Snapshot(network))  # compiles
    meters = Meters()
    with Pipeline(workers, 1, meters, LocalRuntime(), lag=1, room=2) as flowing:
        for version in range(60):
            flowing.publish(version, Snapshot(network))
            (made,) = flowing.batch()
            assert version - made.version <= 1
            time.sleep(0.02)
    counts = meters.take()
    assert counts["dropped"] >= 1
    assert counts.get("lag/0", 0) + counts.get("lag/1", 0) == 60
    assert sum(x for name, x in counts.items() if name[:4] == "lag/") == 60 + counts["dropped"]


# --- Hosts


@pytest.fixture(autouse=True)
def _children_find_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(found))


HOST = {**TINY, "agents": 4, "copies": 2, "steps": 64, "evaluate_every": 64, "minibatches": 2,
        "network": "gru"}  # fmt: skip


@pytest.fixture(scope="module")
def cues() -> Iterator[CueDomain]:
    domain = CueDomain(4)
    yield domain
    domain.entity_simulator.close()


def test_the_cues_conform(cues: CueDomain) -> None:
    *passed, shared = check_domain(cues, episodes=1)
    assert len(passed) == 3
    assert shared.startswith("copies in one process do not disturb each other")


def test_copies_that_disturb_each_other_are_found_out() -> None:
    domain = FaultyDomain(4, "shares")
    assert "two disturb each other (observation" in check_domain(domain, episodes=1)[-1]
    domain.entity_simulator.close()


class Killing(Silent):
    """Kills what the worker's process has started after one update, and itself after five."""

    def __init__(self) -> None:
        self._updates, self._training, self.kills = 0, False, 0

    def phase(self, name: str, total: int) -> None:
        self._training = name == "train"

    def advance(self, agent_steps: int) -> None:
        self._updates += self._training
        if not self._training or self._updates not in (1, 5):
            return
        (worker,) = _processes("Apart")
        victims = worker.children()[:1] if self._updates == 1 else [worker]
        self.kills += len(victims)
        for victim in victims:
            victim.kill()


def _processes(target: str) -> list[psutil.Process]:
    """Those that hold an object of the class called so."""
    everybody = psutil.Process().children(recursive=True)
    alive = [process for process in everybody if process.status() != psutil.STATUS_ZOMBIE]
    return [process for process in alive if f":{target}" in " ".join(process.cmdline())]


def test_hosts_in_the_pipeline_in_lockstep_killed_and_resumed(cues: CueDomain) -> None:
    """All of it ends with the same bits: a process is a function of its seed and actions."""
    how = {**HOST, "critic": "central", "slot_networks": "role", "evaluate_every": 32}
    lockstep = _run(cues, schedule="lockstep", **how)
    os.kill(cues.entity_simulator.sessions(9)[8].pid, signal.SIGKILL)  # the first worker's first
    resumed = _run(cues, lockstep.checkpoints[0], schedule="lockstep", **how)
    assert resumed.lines[-1]["host/restarts"] == 1
    _assert_same(lockstep.checkpoints[-1][0], resumed.checkpoints[-1][0])
    shared = _run(cues, lockstep.checkpoints[0], schedule="lockstep", **how, copies_per_process=2)
    _assert_same(lockstep.learners(), shared.learners())
    assert 0 < lockstep.lines[-1]["eval/sampled/right"] < 1
    assert lockstep.summary["eval"]["heuristic"]["right"] == 1
    assert {name for name in lockstep.learners() if "critic" in name}


@pytest.mark.parametrize("copies_per_process", [1, 2])
def test_workers_in_processes_of_their_own_are_those_in_lockstep_and_may_be_killed(
    cues: CueDomain, copies_per_process: int
) -> None:
    """With two copies in one process it is the worker's own, else a worker's processes die too."""
    how = {**HOST, "critic": "central", "slot_networks": "role", "steps": 256,
           "correction": "vtrace", "copies_per_process": copies_per_process}  # fmt: skip
    before, killing = cues.entity_simulator.restarts, Killing()
    lockstep = _run(cues, schedule="lockstep", **how)
    piped = _run(cues, schedule="pipeline", lag=0, progress=killing, **how)
    _assert_same(lockstep.learners(), piped.learners())
    assert killing.kills == 3 - copies_per_process
    assert piped.lines[-1]["host/restarts"] - before == killing.kills
    assert 0 < piped.lines[-1]["eval/sampled/right"] < 1
    assert {name for name in piped.learners() if "critic" in name}
    assert not _processes("Apart")


def test_a_hosted_system_is_the_traced_one() -> None:
    hosted, simulator = HostedDomain("colony", 4), load_domain("colony", 4).entity_simulator
    (session,) = hosted.entity_simulator.sessions(1)
    seen, state = session.call("reset", 3), simulator.reset(stream(3, "host"))
    for clock in range(5):
        np.testing.assert_array_equal(seen["alive"], simulator.alive(state))
        np.testing.assert_array_equal(seen["mask"], simulator.action_mask(state))
        np.testing.assert_allclose(seen["observation"], simulator.observe(state), atol=1e-6)
        actions = seen["mask"].argmax(1)
        seen = session.call("step", actions)
        moved = simulator.step(state, actions, simulator.noise(stream(3, "host/step", clock)))
        np.testing.assert_allclose(seen["reward"], moved.reward, atol=1e-6)
        assert seen["terminated"] == moved.terminated
        state = moved.state
    session.close()


class FaultySessions(CueSessions):
    target = "fragile_cues:Faulty"


class FaultyDomain(CueDomain):
    def __init__(self, agents: int, fault: str, patience_s: int = 60) -> None:
        super().__init__(agents)
        self.entity_simulator = FaultySessions(agents, fault, patience_s=patience_s)


@pytest.mark.parametrize(
    ("fault", "copies_per_process", "words"),
    [
        ("nan", 1, "observation is not finite"),
        ("shape", 1, r"reward has shape \[3\], expected \[4\]"),
        ("lacks", 1, "step gives lacks 'mask'"),
        ("raises", 1, "ValueError: the sluice is shut"),
        ("raises", 2, "ValueError: the sluice is shut"),
        ("hangs", 1, r"crashed or hung 4 times at the same call \(step\)"),
        ("hangs", 2, r"worker 0 \(cues\) crashed or hung 4 times at the same call \(segment\)"),
    ],
)
def test_a_broken_environment_ends_the_run_with_one_sentence(
    fault: str, copies_per_process: int, words: str
) -> None:
    domain = FaultyDomain(4, fault, patience_s=2 if fault == "hangs" else 60)
    how = {**HOST, "copies_per_process": copies_per_process, "steps": 1000}
    config = make_config({"domain": "cues", **how, "schedule": "pipeline"})
    experiment, plan = Experiment(config, domain, LocalRuntime()), Plan(config, domain)
    experiment.evaluates = lambda updates: False  # type: ignore[method-assign]  # only workers act
    began = threading.active_count()
    state = Loop(experiment, plan).start()
    with pytest.raises(UserError, match=words):
        go_on(experiment, plan, state)
    assert threading.active_count() == began
    assert not _processes("Faulty")
    assert not _processes("Apart")


def test_memory_is_learned_on_hosts() -> None:
    """The cue of the step before is asked for: without memory 0.25 is the best there is, random
    has 0.22. With memory 1.0 is possible; three seeds had 0.99; we
    ask 0.6."""
    domain = CueDomain(4, memory=True)
    kept = _run(domain, schedule="pipeline", **{**HOST, "copies": 8, "steps": 12_800, "window": 16,
                "hidden": 16, "trunk": 16, "learning_rate": 1e-2, "evaluate_every": 12_800,
                "evaluate_episodes": 8, "final_episodes": 8, "minibatches": 4, "discount": 0.5,
                "epochs": 4})  # fmt: skip
    assert kept.summary["eval"]["learned"]["right"] > 0.6
    for session in domain.entity_simulator.sessions(16):
        session.close()


def test_plain_agents_are_served_too() -> None:
    corridor = load_domain("corridor", 4)
    kept = _run(corridor, schedule="lockstep", credit=0.5, **{**TINY, "agents": 4, "steps": 128})
    assert kept.summary["eval"]["learned"]["return_mean"] is not None
    assert "alive" not in kept.summary["eval"]["learned"]


KNIGHTS = "pettingzoo.butterfly.knights_archers_zombies_v11:parallel_env"
FEW = {"max_cycles": 40, "line_death": True, "num_archers": 2, "num_knights": 1}


def test_agents_of_a_third_party_environment_die_one_by_one() -> None:
    pytest.importorskip("pygame")
    from hinterland.domains.adapters.parallel_session import ParallelSession

    session = ParallelSession(KNIGHTS, FEW)
    seen = session.reset(0)
    assert seen["alive"].all()
    states = []
    for _ in range(40):
        # Only the first goes, always ahead: it dies where it meets the wall.
        seen = session.step(np.array([0, 5, 5]))
        states.append(seen)
        if seen["terminated"] or seen["truncated"]:
            break
    alive = np.stack([one["alive"] for one in states])
    died = int((~alive[:, 0]).argmax())
    assert 0 < died < 39
    assert not alive[died:, 0].any()
    assert alive[-1, 1:].all()
    assert states[-1]["truncated"]
    assert not states[-1]["terminated"]
    assert not states[died]["observation"][0].any()
    assert not states[died]["mask"][0].any()
    assert states[died]["observation"][1].any()


def test_a_third_party_environment_is_trained_in_unmodified() -> None:
    pytest.importorskip("pygame")
    from hinterland.domains.adapters.parallel import from_parallel

    domain = from_parallel(KNIGHTS, **FEW)
    assert (domain.agents, domain.roles, domain.spec.horizon) == (3, (0, 0, 1), 40)
    *passed, shared = check_domain(domain, episodes=1)
    assert len(passed) == 3
    assert "do not disturb each other" in shared
    kept = _run(domain, schedule="pipeline", **{**HOST, "agents": 3, "slot_networks": "role",
                "critic": "central"})  # fmt: skip
    assert kept.summary["eval"]["learned"]["alive"] <= 3
    domain.entity_simulator.close()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("pettingzoo", "--env 'pettingzoo': must be MODULE:NAME"),
        (
            "pettingzoo.no_such:parallel_env",
            "cannot import module 'pettingzoo.no_such': No module named",
        ),
        ("pettingzoo.classic.rps_v2:parallel_envy", "has no function 'parallel_envy'"),
    ],
)
def test_an_environment_that_cannot_be_made(environment: str, words: str) -> None:
    from hinterland.domains.adapters.parallel import from_parallel

    with pytest.raises(UserError, match=words):
        from_parallel(environment)


# --- Two sides


class _Duel:
    """Two sides of two; each unit says 0 or 1, and who says more ones wins after three steps."""

    def reset(self, key):  # type: ignore[no-untyped-def]
        return jnp.zeros(3, jnp.int32)  # clock, our ones, theirs

    def observe(self, state):  # type: ignore[no-untyped-def]
        return jnp.broadcast_to(state[:1] / 3.0, (2, 1))

    def alive(self, state):  # type: ignore[no-untyped-def]
        return jnp.ones(2, bool)

    def action_mask(self, state):  # type: ignore[no-untyped-def]
        return jnp.ones((2, 2), bool)

    def opposing(self, state):  # type: ignore[no-untyped-def]
        return self.observe(state), self.action_mask(state), self.alive(state)

    def noise(self, key):  # type: ignore[no-untyped-def]
        return ()

    def step(self, state, actions, noise):  # type: ignore[no-untyped-def]
        return self.step_both(state, actions, jnp.zeros(2, jnp.int32), noise)

    def step_both(self, state, actions, opposing, noise):  # type: ignore[no-untyped-def]
        state = state + jnp.stack([jnp.int32(1), actions.sum(), opposing.sum()])
        over = state[0] == 3
        reward = jnp.where(over, jnp.sign(state[1] - state[2]), 0)
        return EntityStep(state, jnp.full(2, reward, jnp.float32), over)

    def figures(self, state):  # type: ignore[no-untyped-def]
        found = {"won": state[1] > state[2], "lost": state[1] < state[2]}
        return {name: x.astype(jnp.float32) for name, x in found.items()}


def _ones(key, observation, mask):  # type: ignore[no-untyped-def]
    return jnp.int32(1)


class _DuelDomain(ColonyDomain):
    name = "duel"
    spec = ColonyDomain.spec.__class__(observation=1, actions=2, dset=0, sources=0, classes=0,
                                       horizon=10)  # fmt: skip
    scripted = {"random": ColonyDomain.scripted["random"], "ones": _ones}  # noqa: RUF012

    def __init__(self) -> None:
        self.agents, self.entity_simulator = 2, _Duel()


DUEL = {**TINY, "agents": 2, "schedule": "pipeline"}
DUELLISTS = _DuelDomain()


def test_nobody_beats_who_always_says_one_and_the_pool_counts_it() -> None:
    kept = _run(DUELLISTS, opponents="ones=1", **DUEL)
    line = [x for x in kept.lines if "opponents/games" in x][-1]
    assert line["opponents/won/ones"] == 0
    # 8 copies x 8 x 2 steps x 2 updates, an episode has 3 steps; the first phases are shorter
    assert 256 // 3 - 8 <= line["opponents/games"] <= 256 // 3 + 8
    assert "eval/sampled/won" in next(x for x in kept.lines if "eval/sampled/return" in x)


def test_self_play_keeps_snapshots_in_the_checkpoint() -> None:
    kept = _run(DUELLISTS, opponents="latest=1,past=1", snapshot_every=1, pool=3, **DUEL)
    assert kept.checkpoints[-1][0][".pool.version"].tolist() == [1, 2, -1]
    again = _run(DUELLISTS, kept.checkpoints[-1], opponents="latest=1,past=1",
                 snapshot_every=1, pool=3, **{**DUEL, "steps": 384})  # fmt: skip
    assert again.checkpoints[-1][0][".pool.version"].tolist() == [1, 2, 3]


def test_the_pool_draws_the_hard_ones_and_forgets_the_oldest() -> None:
    network = {"w": np.zeros(2, np.float32)}
    mix = opponents.parse_mix("latest=1,past=2,random=1", ["ones", "random"])
    assert mix == opponents.Mix(1.0, 2.0, (("random", 1.0),))
    pool = opponents.empty_pool(network, 2, 1)
    np.testing.assert_allclose(opponents.weights_of(pool, mix), [0, 0, 1 / 4, 3 / 4])
    for version in (10, 20):
        pool = opponents.with_snapshot(pool, version, {"w": np.full(2, version, np.float32)})
    # 8 of 8 games won against the first: 9/10 of the doubt; none of 2 against the second: 1/4.
    results = np.array([[8, 8, 0], [2, 0, 2]])
    pool = opponents.with_results(pool, np.array([0, 1]), results)
    hard = np.array([(1 / 10) ** 2, (3 / 4) ** 2])
    expected = [*(2 * hard / hard.sum()), 1, 1]
    np.testing.assert_allclose(opponents.weights_of(pool, mix), np.array(expected) / 4, rtol=1e-5)
    seats, member = opponents.draw(
        stream(0, "d"), pool, mix, 4000, {"w": np.full(2, 99, np.float32)}
    )
    share = [(member == who).mean() for who in (0, 1, 2, opponents.LATEST)]
    np.testing.assert_allclose(share, np.array(expected) / 4, atol=0.03)  # 4 s.d. of the widest
    for who, weight, script in ((0, 10, -1), (1, 20, -1), (opponents.LATEST, 99, -1), (2, 99, 0)):
        seat = int((member == who).argmax())
        assert seats.networks["w"][seat].tolist() == [weight] * 2
        assert seats.script[seat] == script
    pool = opponents.with_snapshot(pool, 30, network)
    assert pool.version.tolist() == [30, 20]
    assert pool.results.tolist() == [[0, 0, 0], [2, 0, 2], [0, 0, 0]]


# --- What cannot be


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule": None, "lag": 2}, "--lag is a part of --schedule pipeline or lockstep"),
        ({"pool": 2}, "--pool is a part of --opponents"),
        ({"lag": -1}, "--lag -1: "),
        ({"actors": 3}, "--actors 3: must divide --windows 2"),
        ({"copies_per_process": 2}, "colony is traced by JAX and has no processes"),
        ({"simulation": "dials"}, "colony has no local simulators: add --simulation global"),
        ({"critic": "central"}, "--critic central: colony does not show"),
        ({"slot_networks": "role"}, "--slot-networks role: colony knows no roles"),
        ({"opponents": "latest=1"}, "--opponents: colony has no other side"),
        ({"schedule": None, "copies_per_process": 2}, "colony is traced by JAX and has no process"),
        ({"schedule": None, "slot_networks": "role"}, "--slot-networks role: colony knows no role"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_in_one_sentence(values: dict, words: str) -> None:
    def refuse() -> None:
        chosen = {"domain": "colony", "schedule": "pipeline", **TINY, **values}
        config = make_config({name: x for name, x in chosen.items() if x is not None})
        check_config(config, load_domain(config.domain, config.agents))

    with pytest.raises(UserError, match=words):
        refuse()


@pytest.mark.parametrize("text", ["best=1", "past", "past=-1", "past=0"])
def test_a_mix_of_opponents_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="--opponents"):
        opponents.parse_mix(text, ["random"])


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_run_leaves_no_process_and_a_checkpoint(
    tmp_path: Path, sign: signal.Signals
) -> None:
    """Interrupted by Ctrl-C it ends within five seconds."""
    sizes = {**HOST, "steps": 100_000, "evaluate_every": 64}
    del sizes["refreshes"]  # refused where nothing is refreshed
    command = [sys.executable, "-m", "hinterland", "train", "hinterland.testing.cues:make",
               "--schedule", "pipeline", "--out", str(tmp_path / "run"),
               *(f"--{name.replace('_', '-')}={x}" for name, x in sizes.items())]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "run" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(folder.glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2 + 1 + 2  # evaluation's, the worker, its copies
    process.send_signal(sign)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    if sign is signal.SIGINT:
        assert process.returncode == 130, said
        assert "continue with 'hinterland train --resume" in said
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert RunFolder.read(tmp_path / "run").checkpoint_steps()
