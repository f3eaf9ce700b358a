"""Networks of one's own: by function or by name, in all kinds of runs, resumed and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hinterland
import own_networks
from hinterland import UserError
from hinterland.applies import check_applies
from hinterland.cli.main import main
from hinterland.config import make_config
from hinterland.core import AgentSpec
from hinterland.nets import ActorCritic, made
from hinterland.record import RunFolder
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment
from hinterland.training.plan import Plan
from own_networks import Plain, plain, summing, team
from runs import assert_same

SPEC = AgentSpec(observation=5, actions=3, dset=0, sources=0, classes=0, horizon=9)
GLOBAL: dict[str, Any] = {
    "simulation": "global", "agents": 3, "steps": 64, "copies": 4, "window": 8, "minibatches": 2,
    "evaluations": 1, "evaluate_episodes": 2, "final_episodes": 2,
}  # fmt: skip
DIALS = GLOBAL | {
    "simulation": "dials", "predictor": "feed-forward", "predictor_hidden": 4, "refreshes": 1,
    "predictor_episodes": 32, "predictor_epochs": 1,
}  # fmt: skip
RUNS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "global, own, with memory": ("corridor", summing, GLOBAL),
    "pipeline, entities": ("colony", plain, GLOBAL | {
        "agents": 4, "schedule": "pipeline", "slot_networks": "own"}),
    "a policy of all slots": ("corridor", team, GLOBAL),
}  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_own_networks_train_and_act(kind: str) -> None:
    domain, network, settings = RUNS[kind]
    run = hinterland.train(domain, network=network, **settings)
    assert run.policies.config.network == f"own_networks:{network.__name__}"
    assert np.isfinite(run.summary["eval"]["learned"]["return_mean"])
    policies, spec = run.policies, run.policies.domain.spec
    seen = np.zeros((policies.domain.agents, spec.observation), np.float32)
    alive = np.ones(len(seen), bool)
    actions, memory = policies(seen, policies.initial(), key=0, alive=alive)
    assert actions.shape == (len(seen),)
    assert memory.shape[-1] == (4 if network is summing else 0)
    leaves = jax.tree.leaves(policies.policy)
    assert sum(x.size for x in leaves) > 0
    assert all(x.dtype == jnp.float32 for x in leaves)


def test_a_central_critic_is_beside_it() -> None:
    """Its size is still that of --hidden and --trunk."""
    config = make_config({"domain": "combat", "network": "own_networks:plain", "hidden": 8,
                          "critic": "central", "agents": 5})  # fmt: skip
    domain: Any = hinterland.load_domain("combat", 5)
    check_applies(config)
    network = Plan(config, domain).network()
    assert network.critic.first.weight.shape[-1] == 8
    view = domain.entity_simulator.reset(jax.random.key(0))
    central = domain.entity_simulator.central(view)[None]
    observation = domain.entity_simulator.observe(view)[None]
    assert network.critic(central, observation).shape == (1, 5)


def test_a_network_like_ours_is_like_ours() -> None:
    """The same parameters in both give the same decisions and values, with and without memory."""
    for kind in ("gru", "feed-forward"):

        class Same(eqx.Module):
            inner: ActorCritic
            memory: int = eqx.field(static=True)

            def step(self, memory: Any, observation: Any) -> Any:
                after, logits, value = self.inner.step(memory[None], observation[None])
                return after[0], logits[0], value[0]

        def make(key: Any, spec: Any, kind: Any = kind, form: Any = Same) -> Any:
            inner = ActorCritic(key, spec.observation, spec.actions, kind=kind, hidden=6, trunk=4)
            return form(inner, 6 * (kind == "gru"))

        key = jax.random.key(3)
        mine = made(make, key, SPEC)
        ours = ActorCritic(key, 5, 3, kind=kind, hidden=6, trunk=4)  # ty: ignore[invalid-argument-type]
        observation = jax.random.normal(key, (7, 4, 5))
        reset = jax.random.bernoulli(key, 0.3, (7, 4))
        carry = jax.random.normal(key, ours.initial(4).shape)
        assert mine.initial(4).shape == carry.shape
        for one, other in zip(mine.unroll(carry, observation, reset),
                              ours.unroll(carry, observation, reset), strict=True):  # fmt: skip
            np.testing.assert_allclose(one, other, atol=1e-6)
        for one, other in zip(mine.step(carry, observation[0]), ours.step(carry, observation[0]),
                              strict=True):  # fmt: skip
            np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.fixture(scope="module")
def by_name(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "by-name"
    words = [f"--{name.replace('_', '-')}={x}" for name, x in DIALS.items()]
    network = ["--network", "own_networks:plain"]
    assert not main(["train", "corridor", *words, *network, "--no-report", "--out", str(out)])
    return out


def test_the_command_trains_what_a_script_trains(by_name: Path, tmp_path: Path) -> None:
    run = hinterland.train("corridor", network=plain, out=tmp_path / "run", **DIALS)
    here, there = RunFolder.read(tmp_path / "run"), RunFolder.read(by_name)
    assert_same(here.load_checkpoint()[0], there.load_checkpoint()[0])
    assert here.config == there.config
    file = str(Path(own_networks.__file__).resolve())
    assert here.manifest["network_file"] == there.manifest["network_file"] == file
    assert main(["evaluate", str(by_name), "--episodes", "2"]) == 0
    loaded = hinterland.load(by_name)
    assert_same(*({str(i): np.asarray(x) for i, x in enumerate(jax.tree.leaves(one.policy))}
                  for one in (loaded, run.policies)))  # fmt: skip


def test_a_resumed_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    """With a function that no name finds, which the folder says it needs."""

    def mine(key: Any, spec: Any) -> Plain:
        return plain(key, spec)

    class Stop:
        def log(self, step: int, wall_s: float, phase: str, values: Any) -> None:
            if phase == "train":
                raise KeyboardInterrupt

    settings, out = {**GLOBAL, "evaluations": 2}, tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        hinterland.train("corridor", network=mine, out=out, logger=Stop(), **settings)
    with pytest.raises(UserError, match="that only its script can make, 'test_networks:mine'"):
        hinterland.train(resume=out)
    assert main(["train", "--resume", str(out)]) == 2
    run = hinterland.train(resume=out, network=mine)
    whole = hinterland.train("corridor", network=mine, **settings)
    assert run.summary["eval"] == whole.summary["eval"]
    for one, other in zip(*(jax.tree.leaves(x.policies.policy) for x in (run, whole)), strict=True):
        np.testing.assert_array_equal(one, other)
    figures = hinterland.evaluate(run, episodes=2)
    assert hinterland.evaluate(out, episodes=2, network=mine) == figures
    with pytest.raises(UserError, match="give the function as network="):
        hinterland.load(out)


class _Wide(Plain):
    def step(self, memory: Any, observation: Any) -> Any:
        memory, logits, value = super().step(memory, observation)
        return memory, logits[:-1], value


class _Broken(Plain):
    def step(self, memory: Any, observation: Any) -> Any:
        return memory, self.body(observation[:-1]), 0.0


def _wide(key: Any, spec: Any) -> Plain:
    return _Wide(plain(key, spec).body)


def _broken(key: Any, spec: Any) -> Plain:
    return _Broken(plain(key, spec).body)


def _one_argument(key: Any) -> Plain:
    return plain(key, SPEC)


def _none(key: Any, spec: Any) -> None:
    return None


class _Negative(Plain):
    memory: int = eqx.field(static=True, default=-1)


class _Truth(Plain):
    memory: int = eqx.field(static=True, default=True)


class _NoModule:
    memory = 0
    step = act = Plain.step

    def __init__(self, key: Any, spec: Any) -> None:
        self.weight = jax.random.normal(key, (spec.observation, spec.actions))


def _negative(key: Any, spec: Any) -> Plain:
    return _Negative(plain(key, spec).body)


def _truth(key: Any, spec: Any) -> Plain:
    return _Truth(plain(key, spec).body)


def _whole_numbers(key: Any, spec: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(int) if eqx.is_array(x) else x, plain(key, spec))


def _raises(key: Any, spec: Any) -> Any:
    raise ValueError("no such size")


FILE = r"\((tests/)?(test|own)_networks.py, line \d+\)"
LOCAL: dict[str, Any] = {"simulation": "untrained", "predictor": "feed-forward"}
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (_wide, {}, r"network .*_wide': step gives \[0\], \[1\], \[\]; expected memory \[0\], logits "
     rf"\[2\] and value \[\] {FILE}"),
    (_broken, {}, rf"_broken': step: .*{FILE}"),
    (_one_argument, {}, rf"takes 1 positional argument but 2 were given {FILE}"),
    (_none, {}, rf"gave 'NoneType', which has no whole number 'memory' .*{FILE}"),
    (_NoModule, {}, rf"gave '_NoModule', in which JAX finds no arrays: .* equinox.Module.*{FILE}"),
    (_negative, {}, rf"'_Negative', which has no whole number 'memory' .0 or more.*{FILE}"),
    (_truth, {}, rf"'_Truth', which has no whole number 'memory' .0 or more.*{FILE}"),
    (_whole_numbers, {}, rf"its body.*weight is int32; what is learned is float32.*{FILE}"),
    (_raises, {}, rf"_raises': ValueError: no such size {FILE}"),
    (3, {}, "network is 'int': give gru, feed-forward, MODULE:FUNCTION, or a function"),
    ("lstm", {}, "--network lstm: must be gru, feed-forward, or MODULE:FUNCTION of your own"),
    ("own_networks:nothing", {}, "module 'own_networks' has no function 'nothing'"),
    ("no_such:make", {}, "network 'no_such:make': cannot import module 'no_such'"),
    ("own_networks.py:plain", {}, "must be MODULE:NAME.*such as own_networks:plain"),
    (plain, {"hidden": 8}, "--hidden 8: is for --network gru and feed-forward; leave it out"),
    (team, LOCAL, "one policy of all slots, and not of a region: add --simulation global"),
    (own_networks.odd, {}, rf"odd': act gives value \[1\] for one copy; expected \[1, 3\] {FILE}"),
    (own_networks.torn, {}, rf"torn': TypeError: .*{FILE}"),
    (own_networks.named, {}, rf"its weight is no array: a policy of all slots .*{FILE}"),
    (team, {"slot_networks": "own"}, "all slots: leave out --slot-networks own"),
]  # fmt: skip


@pytest.mark.parametrize(("network", "settings", "sentence"), WRONG, ids=[x for *_, x in WRONG])
def test_what_is_no_network_is_said_in_one_sentence(
    network: Any, settings: dict[str, Any], sentence: str
) -> None:
    small = {x: y for x, y in GLOBAL.items() if x not in settings}
    with pytest.raises(UserError, match=sentence) as caught:
        hinterland.train("corridor", network=network, **small, **settings)
    assert "\n" not in str(caught.value)


def test_what_is_not_finite_may_be_the_networks_fault() -> None:
    domain: Any = hinterland.load_domain("corridor", 3)
    for network, said in (("own_networks:plain", "what network own_networks:plain gives is"),
                          ("gru", "step 0: an observation")):  # fmt: skip
        config = make_config({"domain": "corridor", "agents": 3, "network": network})
        with pytest.raises(UserError, match=said):
            Experiment(config, domain, LocalRuntime(devices=1)).log(0, "train", {"loss": np.nan})


def test_other_processes_need_a_name(tmp_path: Path) -> None:
    local: Callable[..., Any] = lambda key, spec: plain(key, spec)  # noqa: E731
    host = {"simulation": "global", "schedule": "pipeline", "agents": 3, "steps": 64}
    with pytest.raises(UserError, match="find it by name only: put it into a module"):
        hinterland.train("hinterland.testing.cues:make", network=local, **host)


def test_a_domain_brings_its_own_network() -> None:
    from hinterland.domains.corridor import make

    domain: Any = make(3)
    domain.own_network = summing
    small = {x: y for x, y in GLOBAL.items() if x != "agents"}
    run = hinterland.train(domain, **small)
    assert run.policies.initial().shape == (3, 4)
    for option in ({"hidden": 8}, {"network": "feed-forward"}):
        with pytest.raises(UserError, match=r"is for --network gru|brings its own network"):
            hinterland.train(domain, **small, **option)
    mine = Plan(make_config({"domain": "corridor", "network": "own_networks:plain"}), domain)
    assert mine.memory == 0
    assert mine.network().initial(2).shape == (2, 1, 0)
