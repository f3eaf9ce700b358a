"""Third-party environments: odd ones run right or are refused in one sentence, and docs run."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hinterland.cli import main
from hinterland.config import declared_by, make_config
from hinterland.core import Segment, UserError, View, stream
from hinterland.domains import load_domain
from hinterland.domains.adapters.parallel import ParallelEnvironment, ParallelSessions
from hinterland.domains.adapters.parallel_session import ParallelSession
from hinterland.domains.shared import SharedHere
from hinterland.learn import as_cells
from hinterland.rollout import (
    SESSIONS,
    HostActor,
    begin_place,
    first_place,
    host_segment,
    whole_system,
)
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, Lines, evaluate_scripted
from hinterland.training.estimate import processes_of
from hinterland.training.loop import Loop
from hinterland.training.plan import Plan
from hinterland.training.returns import figures, followed, running
from hinterland.training.run import go_on

HERE = Path(__file__).parent
ROOT = HERE.parent


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments are found as in the current folder, by processes of simulators too."""
    monkeypatch.syspath_prepend(str(HERE / "environments"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{HERE / 'environments'}")


class Sessions(ParallelSessions):
    """As in processes, but here; each call makes new copies."""

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        target = "hinterland.domains.adapters.parallel_session:ParallelSession"
        shown = hasattr(self, "central")
        given = (self.environment, self._options, shown)
        made = SharedHere(target, count, *given, patience_s=20, name=self.environment)
        return list(made.sessions)


def here(environment: str, horizon: int | None = None) -> ParallelEnvironment:
    """The domain, stepped in this process."""
    return ParallelEnvironment("here", Sessions(environment, {}, 20), horizon)


# --- Each of the odd ones

RUNS: dict[str, tuple[float, int, str]] = {
    # Return of both agents together, length, how it ends.
    "tiny:trunc": (6, 5, "truncated"), "tiny:term": (6, 5, "terminated"),
    "tiny:both": (6, 5, "terminated"), "tiny:horizon5": (6, 5, "goes on"),
    "tiny:limit5term": (6, 5, "terminated"), "tiny:noclear_term": (6, 5, "terminated"),
    "tiny:noclear_trunc": (6, 5, "truncated"), "tiny:mixed": (6, 5, "truncated"),
    "tiny:staggered": (5, 5, "truncated"),
    "zoo:start5": (6, 5, "truncated"), "zoo:dict_image": (6, 5, "truncated"),
    "zoo:small_bytes": (6, 5, "truncated"), "zoo:int_box_float_obs": (6, 5, "truncated"),
    "zoo:out_of_bounds": (6, 5, "truncated"), "zoo:discrete_obs": (6, 5, "truncated"),
    "zoo:tuple_obs": (6, 5, "truncated"), "zoo:text_obs": (6, 5, "truncated"),
    "zoo:obs_mask_extra": (6, 5, "truncated"), "zoo:arrayreward": (6, 5, "truncated"),
    "zoo:later": (5, 5, "truncated"), "zoo:masknone": (6, 5, "truncated"),
    "zoo:long": (0, 1000, "goes on"), "zoo:stateraises": (6, 5, "truncated"),
    "zoo:allkey": (6, 5, "terminated"), "zoo:missingtrunc": (6, 5, "truncated"),
    "zoo:unseeded": (6, 5, "truncated"),  # and `check` refuses it
}  # fmt: skip
REFUSED = {
    "zoo:multidiscrete": "a_0 acts in MultiDiscrete([3 2]); only Discrete actions can be learned",
    "zoo:multibinary": "a_0 acts in MultiBinary(3); only Discrete actions",
    "zoo:tuple_act": "only Discrete actions can be learned",
    "zoo:short_obs": "a_0's observation is float32 of shape [2]; its observation space, "
    "Box(0.0, 1.0, (4,), float32), wants numbers of shape [4]",
    "zoo:long_obs": "a_0's observation is float32 of shape [4]; its observation space, "
    "Box(0.0, 1.0, (2,), float32), wants numbers of shape [2]",
    "zoo:sequence_obs": "which has no fixed length; expected a space that Gymnasium can flatten",
    "zoo:none_obs": "a_0's observation space is None; expected one of Gymnasium's",
    "zoo:obs_mask_other_key": "a_0's observation is a Dict of action_mask, obs; beside "
    "'action_mask' the key 'observation' is expected",
    "zoo:noneinfos": "reset() gave None as infos; expected a dictionary by agent",
    "zoo:noneinfoeach": "reset() gave None as the info of a_0; expected a dictionary",
    "zoo:obsonly": "reset() gave a dictionary of a_0, a_1; expected (observations, infos)",
    "zoo:noseed": "reset(seed=...) raised TypeError",
    "zoo:fourstep": "step() gave a tuple of 4; expected (observations, rewards, terminations, "
    "truncations, infos)",
    "zoo:nanreward": "a_1's reward at step 1 is nan; expected one finite number",
    "zoo:nonereward": "a_1's reward at step 1 is None; expected one finite number",
    "zoo:vectorreward": "a_0's reward at step 1 is array([1., 2.]); expected one finite number",
    "zoo:emptystart": "reset() left 'agents' empty",
    "zoo:revive": "a_1 is in 'agents' again after step 3, having left it",
    "zoo:emptylast": "step() gave no observation of a_0 at step 5, which was truncated",
    "zoo:dynamicnopossible": "DynamicNoPossible has no 'possible_agents'; expected a PettingZoo "
    "parallel environment",
    # Others than these two modules'
    "pettingzoo.classic.rps_v2:env": "is an AEC environment, whose agents act in turn; expected a "
    "PettingZoo parallel environment",
    "gymnasium.envs.classic_control:CartPoleEnv": "CartPoleEnv is an environment of one agent, as "
    "Gymnasium's are; expected a PettingZoo parallel environment",
    "json:loads": "TypeError: loads() missing",
    "json:JSONDecoder": "JSONDecoder has no 'possible_agents'",
    "json:nothing": "module 'json' has no function 'nothing'",
    "no_such_module:env": "cannot import module 'no_such_module': No module named",
}


def played(environment: str, horizon: int = 1000) -> tuple[float, int, str, list[dict]]:
    """Always the last possible action."""
    session = ParallelSession(environment, {})
    horizon = session.sizes()["limit"] or horizon
    seen = [session.reset(0)]
    for _ in range(horizon):
        actions = np.where(seen[-1]["mask"], np.arange(seen[-1]["mask"].shape[1]), 0).argmax(1)
        seen.append(session.step(actions))
        if seen[-1]["terminated"] or seen[-1]["truncated"]:
            break
    last = seen[-1]
    how = "terminated" if last["terminated"] else "truncated" if last["truncated"] else "goes on"
    return sum(float(one["reward"].sum()) for one in seen[1:]), len(seen) - 1, how, seen


@pytest.mark.parametrize("environment", RUNS)
def test_an_odd_environment_runs_right(environment: str) -> None:
    *found, _ = played(environment)
    assert tuple(found) == RUNS[environment]


@pytest.mark.parametrize("environment", REFUSED)
def test_what_cannot_run_is_refused_in_one_sentence(environment: str) -> None:
    with pytest.raises(UserError) as caught:
        played(environment)
    assert REFUSED[environment] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_of_the_odd_ones_are_in_the_tables() -> None:
    import tiny
    import zoo

    functions = {
        f"{module.__name__}:{name}"
        for module in (tiny, zoo)
        for name, x in vars(module).items()
        if callable(x) and not isinstance(x, type) and x.__module__ == module.__name__
    }
    assert functions <= RUNS.keys() | REFUSED.keys()
    assert len(functions) == 46
    assert len(RUNS) + len(REFUSED) == 52


def test_observations_are_flattened_by_one_rule() -> None:
    """Bytes by their own bounds, wherever they stand; everything else as it is."""
    expected = {
        "zoo:dict_image": [200 / 255] * 4 + [0.5],
        "zoo:small_bytes": [1 / 5, 3 / 5, 1],
        "zoo:int_box_float_obs": [0.5, 0.25],
        "zoo:out_of_bounds": [1e6, -1e6],
        "zoo:obs_mask_extra": [0, 0, 0, 1, 0, 0, 0, 0, 0],  # the id beside the observation
    }
    for environment, values in expected.items():
        first = played(environment)[3][0]
        np.testing.assert_allclose(first["observation"][0], values, rtol=1e-6)
    assert played("zoo:obs_mask_extra")[3][0]["mask"].tolist() == [[True, False]] * 2
    assert played("zoo:masknone")[3][1]["mask"].tolist() == [[False] * 4, [True] * 4]


# --- Own ones

OWN = """
from tiny import Base

class Named(Base):
    def __init__(self, names):
        super().__init__()
        self.possible_agents = list(names)

class Breaks(Base):
    def step(self, actions):
        return 1 // (self.t - self.t)

class Boundless(Base):
    def state(self):
        return [1, 2, 3]

def whole_numbers(): return Named(range(3))
def pairs(): return Named([("archer", 0), ("archer", 1)])
def many(): return Named([f"archer_{i}" for i in range(12)] + [f"knight_{i}" for i in range(8)])
def twins(): return Named([1, "1"])
def breaks(): return Breaks()
def with_state(): return Boundless()
def unmade(): raise OSError("no licence")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user's."""
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "mine"
    import sys

    sys.modules.pop("mine", None)


def test_any_names_will_do_and_are_shown_as_words(own: str) -> None:
    domain = here("mine:whole_numbers")
    assert (domain.agents, domain.names, domain.roles) == (3, ["0", "1", "2"], (0, 0, 0))
    assert here("mine:pairs").names == ["('archer', 0)", "('archer', 1)"]
    many = here("mine:many")
    assert many.names == ["archer"] * 12 + ["knight"] * 8
    assert many.roles == (0,) * 12 + (1,) * 8
    assert played("mine:whole_numbers")[:3] == (9, 5, "truncated")
    with pytest.raises(UserError, match="expected different names"):
        here("mine:twins")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("mine:breaks", r"step\(\.\.\.\) raised ZeroDivisionError: .*mine.py, line 11\)"),
        ("mine:unmade", r"OSError: no licence \(.*mine.py, line 23\)"),
    ],
)
def test_an_environments_error_keeps_its_file_and_line(
    own: str, environment: str, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        played(environment)


def test_the_state_is_asked_for_by_a_central_critic_only(own: str) -> None:
    domain = here("zoo:stateraises")
    whole_system(domain)
    with pytest.raises(UserError, match=r"state\(\) raised ValueError: no state yet .*zoo.py"):
        whole_system(domain, central=True)
    with pytest.raises(UserError, match="here does not show the whole system's state"):
        whole_system(here("tiny:trunc"), central=True)
    shown = whole_system(here("mine:with_state"), central=True)
    assert shown.central == 3
    session = shown.simulator.sessions(1)[0]
    assert session.begin("reset", 0)["central"].tolist() == [1, 2, 3]


# --- Ends, horizons, returns


def segment_of(domain: ParallelEnvironment, steps: int, **settings: Any) -> tuple[Plan, Any]:
    """(plan, segment) of two copies by an untrained network."""
    plan = Plan(make_config({"domain": "pettingzoo", "agents": domain.agents, **settings}), domain)
    actor = HostActor(plan.system, plan.system.simulator.sessions(2), 0, 0)
    actor.lead(first_place(plan.system, 2))
    place = begin_place(plan.network(), actor.place, 2)
    return plan, host_segment(stream(0, "test"), plan.network(), actor, place, steps)[1]


def values_of(network: Any, observation: list[float]) -> np.ndarray:
    """Of two agents that both see it."""
    alive = jnp.ones((1, 2), bool)
    seen = jnp.array([[observation] * 2])
    view = View(seen, jnp.ones((1, 2, 2), bool), alive, alive, jnp.zeros((1, 0)))
    return np.ravel(network.value(network.initial(1), view))


@pytest.mark.parametrize("correction", ["clip", "vtrace"])
def test_who_is_truncated_alone_is_worth_what_comes_after(correction: str) -> None:
    """With discount 0.9, `[1, 0]` is worth 1 / (1 - 0.81) = 5.26 if nothing ends in truth."""
    plan, seen = segment_of(here("tiny:staggered"), 5, hidden=8, trunk=8, discount=0.9)
    worth = values_of(plan.network(), [0.0, 1.0])[0]
    assert seen.alive[:, 0].tolist() == [[True, True]] * 3 + [[False, True]] * 2
    assert not seen.next_alive[2, 0, 0]
    assert not seen.ended[2, 0].any()
    assert seen.next_value[2, 0, 0] == pytest.approx(worth)
    assert seen.next_value[4, 0, 1] == pytest.approx(worth)
    now = None
    if correction == "vtrace":
        probability, _, value = plan.network().unroll(seen)
        now = (probability, value)
    settings, credit = plan.how().settings, plan.how().credit
    cells = as_cells(stream(0, "k"), seen, credit, settings.discount, settings.trace, now)
    assert cells.target[2, 0, 0] == pytest.approx(1 + 0.9 * worth, rel=1e-5)


def test_values_of_a_staggered_end_are_learned() -> None:
    config = make_config(
        {"domain": "pettingzoo", "agents": 2, "discount": 0.9, "hidden": 8, "trunk": 8,
         "steps": 8_000, "window": 10, "windows": 4, "copies": 4, "copies_per_process": 4,
         "learning_rate": 5e-2, "epochs": 4, "minibatches": 1, "evaluations": 1}
    )  # fmt: skip
    domain, told = here("tiny:staggered"), Lines()
    experiment = Experiment(config, domain, LocalRuntime(1), progress=told)
    experiment.evaluates = lambda updates: False  # type: ignore[method-assign]
    plan = Plan(config, domain)
    state = go_on(experiment, plan, Loop(experiment, plan).start())
    network = plan.policy(state.learners)
    np.testing.assert_allclose(values_of(network, [1.0, 0.0]), 1 / (1 - 0.81), atol=0.4)
    lines = [x for x in told.lines if "train/global/return" in x]
    assert lines
    assert all(x["train/global/return"] == 5 for x in lines)


@pytest.mark.parametrize(
    ("environment", "horizon", "expected"),
    [
        ("tiny:noclear_term", None, {"return_mean": 6, "length": 5, "return/a_0": 3}),
        ("tiny:staggered", None, {"return_mean": 5, "return/a_0": 2, "return/a_1": 3}),
        ("tiny:horizon5", None, {"return_mean": 6, "length": 5}),
        ("tiny:horizon5", 3, {"return_mean": 4, "length": 3}),
        ("zoo:long", None, {"return_mean": 0, "length": 1000}),
        ("zoo:long", 2000, {"return_mean": 200, "length": 1500, "return/a_1": 100}),
    ],
)
def test_evaluation_has_the_known_returns(
    environment: str, horizon: int | None, expected: dict[str, float]
) -> None:
    domain = here(environment, horizon)
    found = evaluate_scripted(LocalRuntime(1), domain, "random", episodes=2, seed=0)
    assert {name: found[name] for name in expected} == expected


def test_an_assumed_horizon_is_said() -> None:
    assert here("zoo:long").notes == [
        "zoo:long does not say how long its episodes are (max_cycles); assumes 1,000 steps; give "
        "--horizon N"
    ]
    assert not here("zoo:long", 2000).notes
    assert not here("tiny:horizon5").notes


def test_only_whole_episodes_have_a_return() -> None:
    """Three copies: of the second's and third's first episode, nobody knows how it began."""
    episodes = running(np.array([True, False, False]))
    reward = np.array([[1, 10, 100], [2, 20, 200], [3, 30, 300], [4, 40, 400]], float)
    ended = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]], bool)

    def steps(first: int, last: int) -> Segment:
        """Of one slot."""
        blank = dict.fromkeys(Segment._fields)
        shown = {"reward": reward[first:last, :, None], "ended": ended[first:last, :, None]}
        return Segment(**{**blank, **shown})

    rest, found = followed(episodes, steps(0, 4))
    assert found.tolist() == [6 + 90, 2]
    assert rest.so_far[:, 0].tolist() == [4, 0, 400]
    assert figures(found, "global") == {"train/global/return": 48, "train/global/episodes": 2}
    assert figures(np.zeros(2), "global") == {"train/global/episodes": 0}
    first, a = followed(episodes, steps(0, 2))
    second, b = followed(first, steps(2, 4))
    assert (a + b).tolist() == found.tolist()
    assert jax.tree.all(jax.tree.map(np.array_equal, second, rest))


# --- The preset, and what is asked of the machine


def test_the_preset_of_pettingzoo_starts_few_processes() -> None:
    config = make_config({"domain": "pettingzoo", "agents": 2})
    assert (config.schedule, config.copies, config.copies_per_process) == ("lockstep", 8, 4)
    assert (config.discount, config.trace, config.network) == (0.99, 0.95, "feed-forward")
    assert (config.evaluate_episodes, config.final_episodes) == (8, 32)
    domain = here("tiny:trunc")
    assert sum(processes_of(Plan(config, domain))) == 4
    for settings, each, count in (
        ({"copies": 6}, 3, 2 + 3),
        ({"copies": 7}, 1, 7 + 8),
        ({"copies": 1}, 1, 1 + 8),
        ({"copies": 4, "actors": 2}, 4, 2 + 2),
        ({"copies": 128, "copies_per_process": 1}, 1, 128 + 8),
        ({"schedule": "pipeline"}, 4, 1 + 2 + 2),
        ({"schedule": "pipeline", "copies_per_process": 8}, 8, 1 + 1),
    ):
        config = make_config({"domain": "pettingzoo", "agents": 2, **settings})
        assert config.copies_per_process == each
        assert sum(processes_of(Plan(config, domain))) == count


def test_every_worker_has_a_process_for_each_region() -> None:
    name = "tests.environments.pairs:make_all_hosted"
    domain = load_domain(name, 4)
    how = {"domain": name, "agents": 4, "simulation": "untrained", "slot_networks": "shared"}

    def counted(**settings: Any) -> int:
        return sum(processes_of(Plan(make_config({**how, **settings}), domain))) - SESSIONS

    assert counted() == 2
    assert counted(schedule="lockstep", workers=3) == 3 * 2
    assert counted(schedule="pipeline", workers=3) == 3 * 2 + 3


def test_many_processes_are_said_with_their_memory() -> None:
    from hinterland.cli.train import processes_note

    domain, of = here("tiny:trunc"), {"domain": "pettingzoo", "agents": 2}
    assert not processes_note(make_config(of), domain)
    many = make_config({**of, "copies": 128, "copies_per_process": 1})
    (said,) = processes_note(many, domain)
    assert said.startswith("136 processes of simulators take about 8.2 GB")


# --- check and train


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("zoo:fourstep", "zoo:fourstep: step() gave a tuple of 4"),
        ("zoo:unseeded", "two episodes with the same seed and actions differ"),
    ],
)
def test_train_refuses_what_check_refuses_before_it_makes_a_folder(
    environment: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sentences = []
    for command in ("check", "train"):
        more = [] if command == "check" else ["--out", str(tmp_path / "run")]
        assert main([command, "pettingzoo", "--env", environment, *more]) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        sentences.append(said.removeprefix(f"hinterland {command}: "))
    assert sentences[0] == sentences[1]
    assert words in sentences[0]
    assert not list(tmp_path.iterdir())


def test_a_run_by_the_preset_from_check_to_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    of = ["pettingzoo", "--env", "tiny:staggered", "--horizon", "6"]
    assert main(["check", *of]) == 0
    assert capsys.readouterr().out.count("passed: ") == 4
    sizes = ["--hidden", "8", "--trunk", "8", "--steps", "1024", "--evaluations", "1"]
    folder = str(tmp_path / "run")
    assert (
        main(["train", *of, *sizes, "--out", folder, "--no-report", "--final-episodes", "2"]) == 0
    )
    said = capsys.readouterr()
    assert "a_0 2.00, a_1 3.00" in said.out
    assert "note:" not in said.err
    assert main(["evaluate", folder, "--policy", "random", "--episodes", "2"]) == 0
    assert "return/a_1                 3.000" in capsys.readouterr().out


# --- JaxMARL


@pytest.mark.skipif(
    importlib.util.find_spec("jaxmarl") is None,
    reason="jaxmarl is not installed: pip install 'hinterland[jaxmarl]'",
)
def test_environments_of_jaxmarl_are_domains_or_refused() -> None:
    """One of each kind; all 38 that version 0.2 registers were tried by hand."""
    from hinterland.domains.adapters.jaxmarl import JaxMARLDomain, make_environment

    runs, refused = {}, {}
    for name in (
        "hanabi",
        "storm",
        "storm_2p",
        "storm_np",
        "MPE_simple_facmac_v1",
        "LearnedPolicyEnemySMAX",
    ):
        try:
            runs[name] = JaxMARLDomain(make_environment(name), horizon=5)
        except UserError as error:
            refused[name] = str(error)
            assert "\n" not in refused[name]
    assert runs.keys() == {"hanabi", "storm_2p", "storm_np"}
    assert "the same number of discrete actions" in refused["MPE_simple_facmac_v1"]
    assert "JaxMARL cannot make LearnedPolicyEnemySMAX" in refused["LearnedPolicyEnemySMAX"]
    assert "its observations have inventory, observations" in refused["storm"]
    simulator = runs["hanabi"].entity_simulator
    state = simulator.reset(jax.random.key(0))
    legal = runs["hanabi"].entity_simulator.environment.get_legal_moves(state.inner)
    mask = np.asarray(simulator.action_mask(state))
    assert not mask.all()
    for slot, name in enumerate(simulator.names):
        np.testing.assert_array_equal(mask[slot], np.asarray(legal[name]).astype(bool))


# --- The commands of the docs


def commands_of(page: Path) -> list[str]:
    """What follows `hinterland` in a page's blocks of code, without comments, and in its text."""
    fence = r"^```[^\n]*\n(.*?)^```"
    text = page.read_text()
    lines = "\n".join(re.findall(fence, text, re.DOTALL | re.MULTILINE))
    lines = lines.replace("\\\n", " ").splitlines()
    found = [re.match(r"\s*(?:\.venv/bin/)?hinterland (.*)", line) for line in lines]
    blocks = [one[1].partition("  #")[0].strip() for one in found if one]
    prose = re.sub(fence, "", text, flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`hinterland (\w+ [^`]+)`", prose)]
    return blocks + [span for span in spans if not re.search(r"\[|--help|[A-Z]{3,}", span)]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [(page.name, command) for page in PAGES for command in commands_of(page)]


class _Ready(BaseException):
    """The command is where its work would begin."""


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda x: str(x)[:60])
def test_a_command_of_the_docs_runs_as_printed(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """New runs come as far as their folder, or to files that a page's reader has; others are
    parsed, and studies of ours read."""
    from hinterland.api import start
    from hinterland.cli import study
    from hinterland.cli.arguments import Parser
    from hinterland.record import RunFolder

    arguments = shlex.split(command)
    (tmp_path / "my_module.py").write_text("from hinterland.domains.corridor import make\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # as in the reader's folder

    def ready(*_: Any, **__: Any) -> None:
        raise _Ready

    if arguments[0] == "study" and (file := ROOT / arguments[1]).exists():
        study.read_study(file, file.read_bytes())
    needs = {"smax": "jaxmarl", "traffic": "libsumo", "lux": "luxai_s2", "pettingzoo": "pygame"}
    whole = arguments[0] == "train" and not {"--net", "--sumocfg", "--resume"} & set(arguments)
    missing = importlib.util.find_spec(needs.get(arguments[1] if whole else "", "jax")) is None
    if whole and not missing and ":" not in arguments[1]:
        # Who joins a cluster has one.
        monkeypatch.setattr(start, "make_runtime", lambda *_: LocalRuntime(1))
        monkeypatch.setattr(RunFolder, "create", ready)
    else:
        parsed = Parser.parse_args

        def parse(self: Parser, *given: Any) -> None:
            options = parsed(self, *given)
            values = {
                x: y
                for x, y in vars(options).items()
                if x in make_config.__globals__["Config"].model_fields
            }
            if arguments[0] in ("train", "check") and (domain := values.get("domain")):
                own = declared_by(domain).model_fields
                values |= {x: y for x, y in vars(options).items() if x in own}
                make_config({"agents": 4, **values})
            raise _Ready

        monkeypatch.setattr(Parser, "parse_args", parse)
    with pytest.raises(_Ready):
        main(arguments)


def test_the_docs_have_commands() -> None:
    assert len(COMMANDS) >= 40
    assert len({page for page, _ in COMMANDS}) >= 7
