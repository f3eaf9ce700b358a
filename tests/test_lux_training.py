"""Training in real games of Lux AI S2: repeatable, resumable, evaluated, watched and exported.

Everything is tiny (16 x 16 cells, two sessions, a network of two small convolutions), and one
domain object serves all tests, so that programs are compiled once.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hinterland
from hinterland.api.evaluation import milestones
from hinterland.applies import check_applies
from hinterland.cli.main import main
from hinterland.config import Config, make_config
from hinterland.core import Chosen, UserError, View, is_entity_domain, is_host, stream
from hinterland.domains import declared, registry
from hinterland.domains.lux import LuxDomain, Rules, engine, make
from hinterland.domains.lux.engine import Game, plain
from hinterland.domains.lux.entity_grid import to_numpy
from hinterland.domains.lux.session import LuxSession
from hinterland.domains.lux.state import PLAYERS
from hinterland.record import RunFolder
from hinterland.rollout import HostActor, begin_place, episode_seed, first_place, host_segment
from hinterland.rollout.segments import Outcome, Recorded, as_segment
from hinterland.runtime import LocalRuntime
from hinterland.testing import check_domain
from hinterland.training import (
    Experiment,
    Silent,
    check_config,
    evaluate_policy,
    evaluate_scripted,
    train,
)
from hinterland.training.evaluate import STANDARD_FIGURES
from hinterland.training.networks import load_policy
from hinterland.training.plan import Plan

SLOTS, LENGTH, HORIZON, SESSIONS, WINDOW = 8, 160, 12, 2, 8
TINY = {
    "domain": "lux",
    "agents": SLOTS,
    "map": 16,
    "length": LENGTH,
    "train_length": HORIZON,
    "copies": SESSIONS,
    "window": WINDOW,
    "minibatches": 2,
    "pieces": 2,
    "epochs": 2,
    "channels": 4,
    "blocks": "0",
    "steps": 64,
    "evaluate_every": 32,
    "evaluate_episodes": 2,
    "final_episodes": 2,
}


@pytest.fixture(scope="module")
def domain() -> Iterator[LuxDomain]:
    made = make(SLOTS, map=16, length=LENGTH, train_length=HORIZON, channels=4, blocks="0")
    yield made
    made.entity_simulator.close()


@pytest.fixture(autouse=True)
def installed(domain: LuxDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name `lux` leads to the one domain object, for the command line too."""
    homes = {registry.GROUP: "lux:make", declared.GROUP: "lux.options:Options"}
    found = {
        group: {"lux": EntryPoint("lux", f"hinterland.domains.{home}", group)}
        for group, home in homes.items()
    }
    monkeypatch.setattr(registry, "points", lambda group=registry.GROUP: found[group])

    @functools.wraps(make)
    def same(agents: int, **options: Any) -> LuxDomain:
        return domain

    monkeypatch.setattr("hinterland.domains.lux.make", same)


def _train(
    path: Path, domain: LuxDomain, checkpoint: Any = None, progress: Any = None, **changed: Any
) -> dict[str, Any]:
    """The summary of a run whose folder is at `path`."""
    config = make_config({**TINY, **changed})
    check_config(config, domain)
    folder = RunFolder.create(path, config.model_dump(exclude_none=True), {})
    summary = train(Experiment(config, domain, LocalRuntime(1), folder, progress), checkpoint)
    folder.close()
    return summary


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, domain: LuxDomain) -> Path:
    """A finished run with credit per entity."""
    path = tmp_path_factory.mktemp("runs") / "agent"
    _train(path, domain)
    return path


def _end(path: Path) -> dict[str, np.ndarray]:
    return RunFolder.read(path).load_checkpoint()[0]


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[x], other[x]) for x in one)


def test_the_domain_is_one_of_entities_outside_of_jax(domain: LuxDomain) -> None:
    assert is_entity_domain(domain)
    assert is_host(domain.entity_simulator)
    assert len(check_domain(domain, episodes=1)) == 3


def test_a_run_says_where_its_time_went_and_who_learned(run: Path) -> None:
    folder = RunFolder.read(run)
    lines = [x for x in folder.metrics() if x["phase"] == "train"]
    assert [x["step"] for x in lines] == [32, 64]
    parts = {"acting", "waiting", "learning", "engine", "state", "masks", "observation"}
    for line in lines:
        assert all(line[f"train/seconds/{part}"] > 0 for part in parts)
        assert line["train/env_steps_per_s"] * SLOTS == pytest.approx(line["train/steps_per_s"])
        assert 0 < line["train/active_fraction"] < 1  # 8 slots, of which few are taken
        assert "train/clip_fraction" in line
        assert not any("/size/" in name for name in line)  # each entity for itself
    summary = folder.summary()
    assert summary is not None
    for name in ("learned", "learned_greedy", "random", "heuristic"):
        assert {"length", "finished", "ice", "ice/factory", "factories/alive", "lichen"} <= set(
            summary["eval"][name]
        )
    assert summary["eval"]["heuristic"]["finished"] == 1
    assert summary["eval"]["heuristic"]["ice/factory"] > 1000


def test_a_resumed_run_ends_in_the_same_bits(run: Path, tmp_path: Path, domain: LuxDomain) -> None:
    checkpoint = RunFolder.read(run).load_checkpoint(32)
    _train(tmp_path / "resumed", domain, checkpoint)
    assert _same(_end(run), _end(tmp_path / "resumed"))


class _Killer(Silent):
    """Kills a session after the first update."""

    def __init__(self, domain: LuxDomain) -> None:
        self._session, self.killed = domain.entity_simulator.sessions(1)[0], False

    def advance(self, amount: int) -> None:
        if amount == SESSIONS * WINDOW * SLOTS and not self.killed:
            self.killed = True
            os.kill(self._session.pid, signal.SIGKILL)


def test_a_killed_session_changes_nothing(run: Path, tmp_path: Path, domain: LuxDomain) -> None:
    before, killer = domain.entity_simulator.restarts, _Killer(domain)
    _train(tmp_path / "killed", domain, progress=killer)
    assert killer.killed
    assert domain.entity_simulator.restarts == before + 1
    assert RunFolder.read(tmp_path / "killed").metrics()[-1]["host/restarts"] == before + 1
    assert _same(_end(run), _end(tmp_path / "killed"))


def test_the_teams_credit_is_one_trajectory(run: Path, tmp_path: Path, domain: LuxDomain) -> None:
    _train(tmp_path / "team", domain, credit="team", steps=32)
    line = [x for x in RunFolder.read(tmp_path / "team").metrics() if x["phase"] == "train"][-1]
    own = next(x for x in RunFolder.read(run).metrics() if x["phase"] == "train")
    # The rollout of the first update is the same: somebody of the team always has a choice.
    assert line["train/active_fraction"] == 1 > own["train/active_fraction"]
    assert any(f"train/clip_fraction/size/{size}" in line for size in ("2-3", "4-7", "8+"))
    team, agent = (RunFolder.read(x).load_checkpoint(32)[0] for x in (tmp_path / "team", run))
    assert not _same(team, agent)


def test_a_rollout_is_what_the_games_alone_give(domain: LuxDomain) -> None:
    plan = Plan(make_config(TINY), domain)
    sessions = domain.entity_simulator.sessions(SESSIONS)
    seen = [session.begin("reset", episode_seed(jax.random.key(9))) for session in sessions]
    boards = jax.tree.map(lambda *x: np.concatenate(x), *(one["observation"] for one in seen))
    network = plan.network().renewed(jax.tree.map(lambda x: x[None], boards))
    key = jax.random.key(5)
    actions = network.act(key, network.initial(2), _view(seen[0]))[1].action
    place = begin_place(network, first_place(plan.system, SESSIONS, actions), 2 * SESSIONS)
    segments = []
    for number in range(2):  # a new actor leads the sessions back
        actor = HostActor(plan.system, sessions, 0, 0)
        actor.lead(place.copies)
        own = jax.random.fold_in(key, number)
        place, segment = host_segment(own, network, actor, place, WINDOW)
        segments.append(segment)
        assert {"waiting", "engine"} <= actor.spent.keys()
    whole = jax.tree.map(lambda *x: np.concatenate(x), *segments)
    after = place.copies
    assert whole.reward.shape == (2 * WINDOW, 2 * SESSIONS, SLOTS)
    # Session 0 plays its first game to the horizon, session 1 half of it.
    assert np.flatnonzero(whole.ended[:, 0].all(-1)).tolist() == [11]
    assert np.flatnonzero(whole.ended[:, 2].all(-1)).tolist() == [5]
    assert after.episode.tolist() == [1, 1]
    assert after.clock.tolist() == [4, 10]
    value = jax.jit(lambda view: network.value(network.initial(2), view))
    game = LuxSession(domain.rules)
    for copy, session in ((0, 0), (2, 1)):
        sides, episode = slice(copy, copy + 2), 0
        seen = game.reset(episode_seed(stream(0, "train/host", session, 0)))
        for t in range(2 * WINDOW):
            for name in ("flags", "values", "scalars", "cell", "kind", "id"):
                found = whole.observation[name][t, sides]
                np.testing.assert_array_equal(found, seen["observation"][name])
            np.testing.assert_array_equal(whole.alive[t, sides], seen["alive"])
            np.testing.assert_array_equal(whole.acting[t, sides], seen["acting"])
            used, allowed = whole.mask["unit_type"][t, sides], seen["masks"]["unit_type"]
            assert not (used & ~allowed).any()
            seen = game.step(jax.tree.map(lambda x, t=t, own=sides: x[t, own], whole.action))
            np.testing.assert_array_equal(whole.reward[t, sides], seen["reward"])
            np.testing.assert_array_equal(whole.next_alive[t, sides], seen["alive"])
            expected = np.where(seen["alive"], value(_view(seen)), 0)
            np.testing.assert_allclose(whole.next_value[t, sides], expected, atol=1e-6)
            if whole.ended[t, copy].all():
                episode += 1
                seen = game.reset(episode_seed(stream(0, "train/host", session, episode)))


def _view(seen: dict[str, Any]) -> View:
    """What one game shows."""
    nothing = np.zeros((len(seen["alive"]), 0), np.float32)
    shown = (seen["observation"], seen["masks"], seen["alive"], seen["acting"])
    return View(*jax.tree.map(jnp.asarray, (*shown, nothing)))


def test_nothing_follows_a_termination() -> None:
    """Both games end at step 1: that of copy 0 is truncated, that of copy 1 terminated."""
    zeros, there = np.zeros((3, 2, 1), np.float32), np.ones((3, 2, 1), bool)
    value = zeros + np.array([10, 11, 12], np.float32)[:, None, None]
    terminated, truncated, last = ~there, ~there, zeros.copy()
    truncated[1, 0] = terminated[1, 1] = True
    last[1, :, 0] = 7, 8
    alive = there.copy()
    alive[2, 1] = False
    view = View(zeros, there, there, there, np.zeros((3, 2, 0), np.float32))
    outcome = Outcome(zeros, terminated, truncated, alive, ~there)
    steps = Recorded(view, ~there, Chosen(zeros, there, zeros, value), outcome, last)
    following = np.array([[3.0], [4.0]], np.float32)
    found = as_segment(np.zeros((2, 1, 0), np.float32), steps, following, np)
    assert found.next_value[..., 0].tolist() == [[11, 11], [7, 0], [3, 0]]
    assert found.next_alive[..., 0].tolist() == [[True, True], [True, False], [True, False]]


def _network(run: Path, domain: LuxDomain) -> Any:
    folder = RunFolder.read(run)
    return load_policy(folder.load_checkpoint()[0], make_config(folder.config), domain)


def test_evaluation_tells_the_published_figures(run: Path, domain: LuxDomain) -> None:
    runtime = LocalRuntime(1)
    how = {"episodes": 3, "seed": 2}  # in a game of seed 1 they run out of water
    idle = evaluate_scripted(runtime, domain, "idle", **how)
    assert (idle["length"], idle["finished"], idle["ice"]) == (151, 0, 0)
    assert idle["factories/alive"] == pytest.approx(151 / LENGTH)
    rule = evaluate_scripted(runtime, domain, "rule", **how)
    assert (rule["length"], rule["length_std"], rule["finished"]) == (LENGTH, 0, 1)
    won = evaluate_scripted(runtime, domain, "heuristic", opponent="idle", **how)
    assert (won["wins"], won["losses"], won["opponent"]) == (1, 0, "idle")
    lost = evaluate_scripted(runtime, domain, "idle", opponent="heuristic", **how)
    assert (lost["wins"], lost["losses"], lost["ice"]) == (0, 1, 0)
    assert won["ice"] > 1000
    network = _network(run, domain)
    told = {"greedy": False, "place": (1, "test", 0), "episodes": 3}
    own = evaluate_policy(runtime, domain, network, **told)
    assert own == evaluate_policy(runtime, domain, network, **told)
    assert set(own) >= STANDARD_FIGURES - {"opponent"}  # it plays against itself
    assert "wins" not in own
    beaten = evaluate_policy(runtime, domain, network, opponent="heuristic", **told)
    assert beaten["wins"] == 0 < beaten["losses"]  # an untrained side may last as long
    assert beaten["ice"] < 1000


def test_milestones_are_the_first_evaluations_that_reach_them() -> None:
    lines = [{"step": step, "eval/sampled/finished": share}
             for step, share in ((0, 0.0), (10, 0.125), (20, 0.05), (30, 0.9))]  # fmt: skip
    lines.append({"step": 30, "train/entropy": 1.0})
    assert milestones(lines) == {"steps_to_10_percent": 10, "steps_to_95_percent": None}
    assert milestones([{"step": 0}]) == {}


def test_a_match_is_watched_and_its_submission_plays_the_same(
    run: Path, tmp_path: Path, domain: LuxDomain, capsys: pytest.CaptureFixture[str]
) -> None:
    page, own, out = (tmp_path / name for name in ("match.html", "match.json", "submission"))
    words = ["watch", str(run), "--greedy", "--out", str(page), "--replay", str(own)]
    assert main(words) == 0
    text = page.read_text()
    assert "http" not in text.replace("http://www.w3.org", "")
    record = json.loads(own.read_text())
    assert main(["export", "lux", str(run), "--out", str(out)]) == 0
    assert main(["export", "lux", str(run), "--out", str(out)]) == 2
    assert "already exists" in capsys.readouterr().err
    sources = [path.read_text() for path in out.rglob("*.py")]
    assert not any("hinterland." in text.replace("`hinterland.", "") for text in sources)
    seed = record["metadata"]["seed"]
    played = _match(out / "main.py", seed, domain.rules, len(record["actions"]))
    assert played == record["actions"]
    assert sum(len(own) for both in played[3:] for own in both.values()) > 100


def _match(program: Path, seed: int, rules: Rules, turns: int) -> list[dict[str, Any]]:
    """The actions of two programs that play each other by the runner's protocol."""
    game = Game(rules).engine
    seen, _ = game.reset(seed=seed)
    told = seen = plain(seen["player_0"])
    environment = {"PATH": os.environ["PATH"]}  # without this repository's modules
    programs = {
        name: subprocess.Popen([sys.executable, "-I", str(program)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env=environment)
        for name in PLAYERS
    }  # fmt: skip
    played = []
    for _ in range(turns):
        actions = {}
        for name, process in programs.items():
            assert process.stdin is not None
            assert process.stdout is not None
            line = {"obs": told, "step": game.env_steps, "remainingOverageTime": 60,
                    "player": name, "reward": 0, "info": {}}  # fmt: skip
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            actions[name] = json.loads(process.stdout.readline())
        played.append(actions)
        orders = {name: {who: np.array(x) if isinstance(x, list) else x for who, x in own.items()}
                  for name, own in actions.items()}  # fmt: skip
        now = game.step(orders)[0]["player_0"]
        told, seen = plain(game.state.get_change_obs(seen)), now
    for process in programs.values():
        process.kill()
        process.communicate()
    return played


def _config(**changed: Any) -> Config:
    return make_config({**TINY, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"simulation": "dials"}, "lux is a game of sides, which has no regions: add"),
        ({"network": "gru"}, "--network gru: boards are for networks without memory"),
        ({"hidden": 8}, "--hidden 8: boards have convolutions: see --channels and --blocks"),
        ({"slot_networks": "own"}, "one policy of all slots: leave out --slot-networks own"),
        ({"pieces": 3}, "--pieces 3: must divide a minibatch's 16 steps"),
    ],
)
def test_what_a_run_cannot_do_is_said(
    domain: LuxDomain, changed: dict[str, Any], message: str
) -> None:
    def begin() -> None:
        check_config(_config(**changed), domain)
        check_applies(_config(**changed))

    with pytest.raises(UserError, match=message):
        begin()


def test_impossible_games_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for options, message in (
        ({"map": 12}, "map size 12: a Lux board has 16 to 64 cells on a side"),
        ({"map": 16, "factories": "2"}, "factories 2 to 2: a 16 x 16 board takes 1 to 1"),
        ({"map": 24, "factories": "many"}, "--factories many: give a number such as 2, or a range"),
        ({"length": 100}, "--train-length 256: must be 1 to 100, the length of a whole game"),
    ):
        with pytest.raises(UserError, match=message):
            make(8, **options)
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"it is in the extra 'hinterland\[lux\]'"):
        make(8)


def test_what_cannot_be_exported_or_played_is_said(
    run: Path, tmp_path: Path, domain: LuxDomain, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert main([*words]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "is a run of lux, not of colony" in said("export", "colony", str(run))
    colony = {"domain": "colony", "agents": 4}
    RunFolder.create(tmp_path / "colony", colony, {}).close()
    assert "is a run of colony, not of lux" in said("export", "lux", str(tmp_path / "colony"))
    unknown = said("evaluate", str(run), "--opponent", "nobody")
    assert "--opponent nobody: lux has heuristic, idle, random, rule" in unknown
    arrays = dict(_end(run))
    name = next(x for x in arrays if x.endswith("actor.layers[0].weight"))
    arrays[name] = arrays[name][:, :, :, :16]
    with pytest.raises(UserError, match=r"\[1, 3, 3, 16, 4\], expected .*17, 4\]"):
        load_policy(arrays, _config(), domain)


def test_a_folder_of_before_is_read(run: Path, tmp_path: Path) -> None:
    """Its channels and blocks stand beside the general settings."""
    old = tmp_path / "old"
    config = RunFolder.read(run).config
    own = config.pop("domain_options")
    assert (own["channels"], own["blocks"]) == (4, "0")
    arrays, meta = RunFolder.read(run).load_checkpoint()
    with RunFolder.create(old, {**config, **own}, {}) as folder:
        folder.save_checkpoint(meta["step"], arrays, {"updates": meta["updates"]})
    assert "channels" in RunFolder.read(old).config
    for mine, theirs in zip(
        *(jax.tree.leaves(hinterland.load(path).policy) for path in (old, run)), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_policies_play_in_a_loop_of_ones_own(run: Path, domain: LuxDomain) -> None:
    """By the likeliest actions they play the game that evaluation plays; alone or both sides."""
    policies = hinterland.load(run)
    game = LuxSession(domain.rules)
    key = jax.random.key(4)
    seen, memory = game.reset(5), policies.initial(2)
    while not (seen.get("terminated") or seen.get("truncated")):
        shown = {"mask": seen["masks"], "alive": seen["alive"], "greedy": True}
        actions, memory = policies(seen["observation"], memory, **shown)
        assert isinstance(actions, np.ndarray)
        seen = game.step(actions)
    played = game.metrics()
    network = _network(run, domain)
    act = jax.jit(lambda view: network.act(key, network.initial(2), view, True)[1].action)
    seen = game.reset(5)
    while not (seen.get("terminated") or seen.get("truncated")):
        seen = game.step(np.asarray(act(_view(seen))))
    assert game.metrics() == played

    seen = game.reset(5)
    both = {"mask": seen["masks"], "alive": seen["alive"]}
    whole, _ = policies(seen["observation"], policies.initial(2), greedy=True, **both)
    own = jax.tree.map(lambda x: x[1], {"observation": seen["observation"], **both})
    alone, _ = policies(own.pop("observation"), policies.initial(), greedy=True, **own)
    np.testing.assert_array_equal(alone, whole[1])
    assert whole.shape == (2, SLOTS, 6)
    sampled = [policies(seen["observation"], policies.initial(2), key=7, **both) for _ in "ab"]
    np.testing.assert_array_equal(sampled[0][0], sampled[1][0])
    for wrong, sentence in (
        ({"alive": seen["alive"], "key": 0}, "lux: give mask= too, as the simulator shows it"),
        ({**both, "alive": seen["alive"][:1], "key": 0}, r"observation.*is \[2, .*alive is \[1, 8"),
    ):
        with pytest.raises(UserError, match=sentence):
            policies(seen["observation"], policies.initial(2), **wrong)


def test_exported_weights_are_the_actor_alone(run: Path, domain: LuxDomain) -> None:
    weights = to_numpy(_network(run, domain).network)
    assert weights["0/conv/weight"].shape == (3, 3, 17, 4)
    assert not any("value" in name for name in weights)
