"""The Python face: the same runs and figures as the command line's, and policies in any loop."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hinterland
from hinterland import UserError
from hinterland.api.start import stopping
from hinterland.cli import main
from hinterland.core.names import printable
from hinterland.domains.corridor import make as make_corridor
from hinterland.record import RunFolder
from runs import TINY_DIALS, assert_same

ROOT = Path(__file__).parents[1]
TINY: dict[str, Any] = {
    "network": "feed-forward", "predictor": "feed-forward", "hidden": 8, "trunk": 8, "copies": 8,
    "predictor_episodes": 32, "evaluate_episodes": 4, "final_episodes": 4, "steps": 384,
    "refreshes": 1, "evaluations": 1, "agents": 3,
}  # fmt: skip
"""As `TINY_DIALS` on the command line."""
GLOBAL = {x: y for x, y in TINY.items() if not x.startswith(("predictor", "refreshes"))}
GLOBAL |= {"simulation": "global", "steps": 256}


class Lines:
    """A logger."""

    def __init__(self, at: Callable[[str], None] = lambda _: None) -> None:
        self.lines: list[dict[str, Any]] = []
        self._at = at

    def log(self, step: int, wall_s: float, phase: str, values: Mapping[str, float]) -> None:
        self.lines.append({"step": step, "wall_s": wall_s, "phase": phase, **values})
        self._at(phase)


def script(text: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A script of a user's, in a process of its own."""
    (folder / "script.py").write_text(textwrap.dedent(text))
    command = [sys.executable, "script.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line."""
    out = tmp_path_factory.mktemp("runs") / "by-command"
    words = ["--steps", "384", "--agents", "3", "--refreshes", "1", "--evaluations", "1"]
    assert not main(
        ["train", *TINY_DIALS, *words, "--final-episodes", "4", "--no-report", "--out", str(out)]
    )
    return out


@pytest.fixture(scope="module")
def by_script(tmp_path_factory: pytest.TempPathFactory) -> tuple[hinterland.Run, Lines]:
    """The same run, of a script."""
    lines, out = Lines(), tmp_path_factory.mktemp("runs") / "by-script"
    return hinterland.train("corridor", out=out, logger=lines, **TINY), lines


# --- the package


def test_importing_it_is_light_and_every_name_is_documented(tmp_path: Path) -> None:
    heavy = "{'jax', 'numpy', 'pydantic', 'equinox', 'rich'}"
    done = script(f"import hinterland, sys; print({heavy} & sys.modules.keys())", tmp_path)
    assert done.stdout.strip() == "set()", done
    assert 15 <= len(hinterland.__all__) <= 25
    for name in hinterland.__all__:
        assert getattr(hinterland, name).__doc__, name
        assert name in dir(hinterland)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        hinterland.trian  # noqa: B018


# --- runs


def test_a_script_trains_what_the_command_trains(
    by_command: Path, by_script: tuple[hinterland.Run, Lines]
) -> None:
    run, lines = by_script
    assert run.folder is not None
    there, here = RunFolder.read(by_command), RunFolder.read(run.folder)
    assert there.config == here.config
    assert_same(there.load_checkpoint()[0], here.load_checkpoint()[0])
    assert run.summary == here.result()
    assert run.summary["eval"] == there.result()["eval"]  # type: ignore[index]
    assert [x["step"] for x in lines.lines] == [x["step"] for x in here.metrics()]
    last = here.metrics()[-1]
    heard = {name: x for name, x in lines.lines[-1].items() if name in last}
    assert heard == pytest.approx(last, abs=1e-3)
    assert here.manifest["command"][0].startswith("hinterland.train('corridor', network='feed")


def test_without_a_folder_nothing_is_written(
    by_script: tuple[hinterland.Run, Lines], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = hinterland.train("corridor", **TINY)
    assert not list(tmp_path.iterdir())
    assert run.folder is None
    assert run.summary["eval"] == by_script[0].summary["eval"]
    for mine, theirs in zip(
        jax.tree.leaves(run.policies.policy),
        jax.tree.leaves(by_script[0].policies.policy),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, []),
        ({"greedy": True, "seed": 3}, ["--greedy", "--seed", "3"]),
        ({"policy": "heuristic"}, ["--policy", "heuristic"]),
    ],
)
def test_a_script_measures_what_the_command_measures(
    how: dict[str, Any],
    words: list[str],
    by_script: tuple[hinterland.Run, Lines],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, _ = by_script
    assert not main(["evaluate", str(run.folder), "--episodes", "8", "--json", *words])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert run.folder is not None
    for measured in (run.folder, run, run.policies):
        assert hinterland.evaluate(measured, episodes=8, **how) == said
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_if_asked(
    by_script: tuple[hinterland.Run, Lines], capsys: pytest.CaptureFixture[str]
) -> None:
    hinterland.evaluate(by_script[0], episodes=2, progress=True)
    assert "evaluating" in capsys.readouterr().err
    hinterland.train("corridor", progress=True, **TINY)
    out, said = capsys.readouterr()
    assert out == ""
    assert "corridor: 3 agents, dials simulation" in said
    assert "100.0%" in said


@pytest.mark.parametrize("signalled", [False, True])
def test_an_interrupted_run_goes_on_to_the_same_end(
    signalled: bool, by_script: tuple[hinterland.Run, Lines], tmp_path: Path
) -> None:
    def stop(phase: str) -> None:
        if phase == "train" and signalled:
            os.kill(os.getpid(), signal.SIGINT)
            went_on.append(phase)  # no exception out of whatever runs just then
        elif phase == "train":
            raise KeyboardInterrupt

    went_on: list[str] = []
    before, out = signal.getsignal(signal.SIGINT), tmp_path / "run"
    settings = {**TINY, "evaluations": 3}
    with pytest.raises(KeyboardInterrupt) as caught:
        hinterland.train("corridor", out=out, logger=Lines(stop), **settings)
    assert signal.getsignal(signal.SIGINT) is before
    assert bool(went_on) == signalled
    assert f"hinterland.train(resume='{out}')" in caught.value.__notes__[0]
    assert RunFolder.read(out).result() is None
    lines = Lines()
    run = hinterland.train(resume=out, logger=lines)
    assert run.summary["step"] == 384
    ends = by_script[0].summary["eval"]
    assert run.summary["eval"] == ends  # evaluations between change nothing
    again = hinterland.train(resume=out)
    assert again.summary == run.summary
    assert len(RunFolder.read(out).metrics()) >= len(lines.lines) > 0


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_is_never_lost(presses: int) -> None:
    """Also where the work ends before it looks; a second one does not wait for it."""
    done: list[str] = []

    def work() -> None:
        with stopping(lambda: done.append("asked")):
            for press in range(presses):
                os.kill(os.getpid(), signal.SIGINT)
                done.append(f"went on after {press + 1}")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["asked", "went on after 1"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_domain_object_trains_and_its_folder_needs_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    domain = make_corridor(3)
    settings = {x: y for x, y in GLOBAL.items() if x != "agents"}
    run = hinterland.train(domain, out=tmp_path / "run", **settings)
    assert run.policies.domain is domain
    figures = hinterland.evaluate(run, episodes=4)
    assert figures == hinterland.evaluate(tmp_path / "run", episodes=4, domain=domain)
    assert hinterland.load(tmp_path / "run", domain=domain).step == 256
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "4"]) == 2
    assert "was trained in a domain object, 'corridor'" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"has 4 agents, the run 3"):
        hinterland.evaluate(tmp_path / "run", domain=make_corridor(4))


def test_a_named_domain_object_is_found_again_by_name(tmp_path: Path) -> None:
    domain = hinterland.load_domain("corridor", 3)
    settings = {x: y for x, y in GLOBAL.items() if x != "agents"}
    run = hinterland.train(domain, out=tmp_path / "run", **settings)
    assert hinterland.evaluate(run, episodes=4) == hinterland.evaluate(run.folder, episodes=4)  # type: ignore[arg-type]


# --- policies in a loop of one's own


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "one each, with memory": ("corridor", {**GLOBAL, "network": "gru"}),
    "one for all in turn": ("corridor", {**GLOBAL, "network": "gru", "shared_policy": True}),
    "a team": ("corridor", {**GLOBAL, "network": "gru", "schedule": "lockstep", "copies": 4}),
    "entities": ("colony", {**GLOBAL, "agents": 8}),
    "a team of entities": ("colony", {**GLOBAL, "agents": 8, "schedule": "lockstep",
                                      "network": "gru"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> Callable[[str], hinterland.Policies]:
    made: dict[str, hinterland.Policies] = {}

    def of(kind: str) -> hinterland.Policies:
        if kind not in made:
            domain, settings = KINDS[kind]
            short = {"steps": 64, "window": 8, "minibatches": 2, "final_episodes": 2,
                     "evaluate_episodes": 2}  # fmt: skip
            made[kind] = hinterland.train(domain, **{**settings, **short}).policies
        return made[kind]

    return of


def seen(policies: hinterland.Policies, copies: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Observations of so many copies, and what else entities need."""
    spec, slots = policies.domain.spec, policies.domain.agents
    rng = np.random.default_rng(0)
    observation = rng.uniform(0, 1, (copies, slots, spec.observation)).astype(np.float32)
    if not hasattr(policies.domain, "entity_simulator"):
        return observation, {}
    mask = rng.random((copies, slots, spec.actions)) < 0.7
    mask[..., 0] = True
    return observation, {"mask": mask, "alive": rng.random((copies, slots)) < 0.7}


@pytest.mark.parametrize("kind", KINDS)
def test_policies_are_called_with_or_without_copies_in_jax_or_numpy(
    kind: str, trained: Callable[[str], hinterland.Policies]
) -> None:
    policies = trained(kind)
    slots = policies.domain.agents
    observation, rest = seen(policies, 5)
    actions, state = policies(observation, policies.initial(5), greedy=True, **rest)
    assert isinstance(actions, np.ndarray)
    assert isinstance(state, np.ndarray)
    assert actions.shape == (5, slots)
    assert actions.dtype == np.int32

    traced = jax.jit(lambda x, at, **rest: policies(x, at, greedy=True, **rest))
    by_jax = traced(jnp.asarray(observation), policies.initial(5), **rest)
    assert all(isinstance(x, jax.Array) for x in by_jax)
    np.testing.assert_array_equal(by_jax[0], actions)
    np.testing.assert_allclose(by_jax[1], state, atol=1e-6)

    for copy in range(5):
        alone = {name: x[copy] for name, x in rest.items()}
        one, after = policies(observation[copy], policies.initial(), greedy=True, **alone)
        assert one.shape == (slots,)
        np.testing.assert_array_equal(one, actions[copy])
        np.testing.assert_allclose(after, state[copy], atol=1e-6)

    sampled = policies(observation, state, key=7, **rest)
    np.testing.assert_array_equal(
        sampled[0], policies(observation, state, key=jax.random.key(7), **rest)[0]
    )
    # What was remembered counts, unless the episode has just begun.
    fresh = np.array([True, False, True, False, True])
    begun = policies(observation, state, greedy=True, fresh=fresh, **rest)[1]
    first = policies(observation, policies.initial(5), greedy=True, **rest)[1]
    then = policies(observation, state, greedy=True, **rest)[1]
    np.testing.assert_allclose(begun[fresh], first[fresh], atol=1e-6)
    np.testing.assert_allclose(begun[~fresh], then[~fresh], atol=1e-6)
    if policies.config.network == "gru":
        assert np.abs(np.asarray(first) - then).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_masked_actions_are_not_chosen_and_empty_slots_do_nothing(
    kind: str, trained: Callable[[str], hinterland.Policies]
) -> None:
    policies = trained(kind)
    slots, actions = policies.domain.agents, policies.domain.spec.actions
    observation, _ = seen(policies, 200)
    only = np.arange(200) % actions
    mask = np.broadcast_to(np.eye(actions, dtype=bool)[only][:, None], (200, slots, actions))
    alive = np.ones((200, slots), bool)
    alive[::3, 1] = False
    for how in ({"key": 1}, {"greedy": True}):
        chosen, state = policies(
            observation,
            policies.initial(200),
            mask=mask,
            alive=alive,
            **how,  # type: ignore[arg-type]
        )
        np.testing.assert_array_equal(chosen, np.where(alive, only[:, None], 0))
        if not policies.config.shared_policy:
            assert not np.asarray(state)[~alive].any()


def test_a_loop_of_ones_own_earns_what_evaluation_says(
    by_script: tuple[hinterland.Run, Lines],
) -> None:
    """Two samples of the same mean: 4 standard errors apart once in 16,000 tries."""
    policies, episodes = by_script[0].policies, 256
    domain = policies.domain
    simulator, local = domain.global_simulator, domain.local_simulator
    rng = np.random.default_rng(0)
    state = jax.vmap(simulator.reset)(jax.random.split(jax.random.key(0), episodes))
    step = jax.jit(jax.vmap(simulator.step))
    look = jax.jit(
        lambda state: jax.vmap(jax.vmap(local.observe))(jax.vmap(simulator.regions)(state))
    )
    draw = jax.jit(jax.vmap(simulator.noise))
    memory, earned = policies.initial(episodes), np.zeros((episodes, domain.agents))
    going = np.ones(episodes, bool)
    for _ in range(domain.spec.horizon):
        actions, memory = policies(np.asarray(look(state)), memory, key=rng.integers(2**31))
        keys = jax.random.split(jax.random.key(rng.integers(2**31)), episodes)
        moved = step(state, actions, draw(keys))
        earned += np.where(going[:, None], moved.reward, 0.0)
        going &= ~np.asarray(moved.terminated)
        state = moved.state
    figures = hinterland.evaluate(policies, episodes=episodes)
    mine = earned.mean(1)
    error = np.hypot(mine.std(ddof=1), figures["return_std"]) / episodes**0.5
    assert abs(mine.mean() - figures["return_mean"]) < 4 * error


# --- what is refused


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: hinterland.train(), "which domain"),
    (lambda: hinterland.train("corridr"), "domain 'corridr' is not known"),
    (lambda: hinterland.train("corridor", stepz=3), "stepz is not an option of domain"),
    (lambda: hinterland.train("corridor", steps=0), "steps 0: must be at least 1"),
    (lambda: hinterland.train(make_corridor), "domain is 'function': give a name"),
    (lambda: hinterland.train(3), "domain is 'int': give a name"),  # type: ignore[arg-type]
    (lambda: hinterland.train(make_corridor(3), agents=4), "agents=4: the domain.* has 3"),
    (lambda: hinterland.train(make_corridor(3), grid="2x2"), "grid is an option of traffic"),
    (lambda: hinterland.train("corridor", devices=0), "devices=0: must be at least 1"),
    (lambda: hinterland.train("corridor", simulation="global", refreshes=3), "is for --simulation"),
    (lambda: hinterland.train(resume="no/run"), "run folder no/run does not exist"),
    (lambda: hinterland.train(resume="no/run", steps=3), "leave out steps"),
    (lambda: hinterland.train("corridor", resume="no/run"), "leave out the domain's name"),
    (lambda: hinterland.load("no/run"), "run folder no/run does not exist"),
    (lambda: hinterland.evaluate("no/run", episodes=1), "episodes=1: must be at least 2"),
    (lambda: hinterland.evaluate("no/run", policy="random", greedy=True), "is for --policy"),
    (lambda: hinterland.check("corridor", steps=3), "steps decides nothing"),
    (lambda: hinterland.check(make_corridor(3), grid="2x2"), "grid decides nothing"),
]


@pytest.mark.parametrize(("call", "sentence"), WRONG, ids=[words for _, words in WRONG])
def test_what_cannot_be_is_said_in_one_sentence(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        call()
    assert printable(str(caught.value)) == str(caught.value)


def test_wrong_calls_of_policies(trained: Callable[[str], hinterland.Policies]) -> None:
    policies, entities = trained("one each, with memory"), trained("entities")
    observation, _ = seen(policies, 5)
    others, _ = seen(entities, 5)
    none = policies.initial(5)
    mask = np.ones((5, 3, 1), bool)
    for call, sentence in (
        (lambda: policies(observation[:, :2], none, key=0), r"\[5, 2, .*expected \[3, .*\] or"),
        (lambda: policies(observation, none), "sampled actions need key="),
        (lambda: policies(observation, policies.initial(), key=0), r"state is .*expected \[5, 3"),
        (lambda: policies(observation, none, key=0, mask=mask), r"mask is \[5, 3, 1\], expected"),
        (lambda: entities(others, entities.initial(5), key=0), "come and go: give alive="),
        (lambda: hinterland.evaluate(policies, step=3), "step is for a run's folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            call()


def test_check_judges_names_and_objects() -> None:
    passed = hinterland.check("corridor", agents=3, episodes=1)
    assert passed == hinterland.check(make_corridor(3), episodes=1)
    assert any("local simulators equal their regions" in line for line in passed)


# --- devices


MODULE = """\
import jax.numpy as jnp
TABLE = jnp.zeros(3)
from hinterland.domains.corridor import make
"""


@pytest.mark.parametrize("face", ["command", "script"])
def test_a_module_that_makes_arrays_when_imported_leaves_devices_as_asked(
    face: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    tiny = {**GLOBAL, "steps": 64, "window": 8}
    words = [f"--{name.replace('_', '-')}={x}" for name, x in tiny.items()]
    texts = {
        "command": "import sys; from hinterland.cli import main; sys.exit(main(sys.argv[1:]))",
        "script": "import hinterland\n"
        f"hinterland.train('mine:make', out='run', devices=3, **{tiny!r})",
    }
    command = ["train", "mine:make", "--devices=3", "--out=run", "--no-report", *words]
    done = script(texts[face], tmp_path, *command)
    assert not done.returncode, done.stderr
    assert len(RunFolder.read(tmp_path / "run").manifest["devices"]) == 3


def test_who_started_jax_before_has_devices_as_asked_and_keeps_64_bits(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    text = """\
        import jax
        jax.config.update("jax_enable_x64", True)
        import mine, hinterland
        from hinterland.api.start import machine
        with machine(2) as runtime:
            print(len(runtime.devices), jax.config.jax_enable_x64)
        print(jax.config.jax_enable_x64)
    """
    assert script(text, tmp_path).stdout.split() == ["2", "False", "True"]


# --- the pages


def test_the_reference_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "reference.py"))["page"]()
    assert (ROOT / "docs" / "api.md").read_text() == made, "run 'make docs'"


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one session, from top to bottom, as a reader would paste them; only smaller."""
    real = hinterland.train

    def smaller(*given: Any, **settings: Any) -> hinterland.Run:
        tiny = {} if "resume" in settings else {x: y for x, y in TINY.items() if x != "agents"}
        if settings.get("simulation") == "global":
            tiny = {x: y for x, y in GLOBAL.items() if x != "agents"}
        if callable(settings.get("network")):
            tiny = {x: y for x, y in tiny.items() if x not in ("network", "hidden", "trunk")}
        return real(*given, **{**settings, **tiny})

    monkeypatch.setattr(hinterland, "train", smaller)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs/python.md").read_text(), re.M | re.S
    )
    assert len(blocks) >= 5
    session: dict[str, Any] = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), session)
