"""docs/own-domain.md: its files as a reader pastes them, what it says they print, and mistakes."""

import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import hinterland
from hinterland.api.systems import completed
from hinterland.cli import main
from hinterland.cli.arguments import given_config
from hinterland.cli.train import parser
from hinterland.config import make_config
from hinterland.core import UserError
from hinterland.core.options import DomainOptions
from hinterland.domains import load_domain
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, Lines, trained

PAGE = (Path(__file__).parents[1] / "docs" / "own-domain.md").read_text()
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.M | re.S))
MAKES = [f"{Path(name).stem}:make" for name, text in FILES.items() if "\ndef make(" in text]
TINY: dict[str, Any] = {
    "network": "feed-forward", "hidden": 4, "trunk": 4, "copies": 4, "window": 4, "minibatches": 2,
    "evaluate_episodes": 2, "final_episodes": 2, "evaluations": 1,
}  # fmt: skip
DIALS: dict[str, Any] = {
    "predictor": "feed-forward", "predictor_hidden": 4, "predictor_episodes": 2,
    "predictor_batch": 2, "predictor_epochs": 1, "refreshes": 1,
}  # fmt: skip


@cache
def commands() -> dict[str, list[str]]:
    """What the page's commands print, by what follows `hinterland`; of some it is left out."""
    found: dict[str, list[str]] = {}
    for session in re.findall(r"^```\n(\$ .*?)^```$", PAGE, re.M | re.S):
        for line in session.splitlines():
            if line.startswith("$ "):
                found[line.removeprefix("$ hinterland ")] = []
            else:
                found[list(found)[-1]].append(line)
    return found


def command(name: str, domain: str) -> str:
    (found,) = [line for line in commands() if line.startswith(f"{name} {domain} ")]
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with all files of the page; their modules are new in each test."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


def plain(text: str) -> str:
    """In one line, without digits that another processor may round otherwise."""
    return re.sub(r"\d+\.\d+(e-\d+)?|\d+e-\d+", "#", " ".join(text.split()))


@pytest.mark.parametrize("domain", MAKES)
@pytest.mark.usefixtures("folder")
def test_a_file_passes_the_check_and_prints_what_the_page_says(
    domain: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = command("check", domain)
    assert main(said.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("passed: ") for line in lines)
    assert any("equal their regions" in line or "empty slots" in line for line in lines)
    if commands()[said]:
        assert [plain(x) for x in lines] == [plain(x) for x in commands()[said]]


@pytest.mark.parametrize("domain", MAKES)
@pytest.mark.usefixtures("folder")
def test_a_file_trains_for_two_updates_and_is_evaluated(domain: str) -> None:
    """With the page's options; only smaller."""
    words = command("train", domain).split()[1:]
    given = completed(given_config(parser(domain).parse_args(words), domain))
    simulation = make_config(given).simulation
    smaller = {**given, **TINY, **(DIALS if simulation == "dials" else {})}
    config = make_config(smaller)
    config = config.model_copy(update={"steps": 2 * config.steps_per_update})
    made, told = load_domain(domain, config.agents), Lines()
    trained(Experiment(config, made, LocalRuntime(devices=1), progress=told))
    assert any("train/loss/policy" in line for line in told.lines)
    assert len([line for line in told.lines if "eval/sampled/return" in line]) == 2
    fitted = any("influence/cross_entropy/marginal" in line for line in told.lines)
    assert fitted == (simulation == "dials")


# What a reader may do to `river.py` (its text, the reader's), and what the page says is said.
MISTAKES = {
    "one bin too few": (
        [("CLASSES = 5", "CLASSES = 4")],
        "global_simulator.step influence at step 2: agent 2, source 0 has class 4; classes are "
        "0 .. 3",
    ),
    "another size": (
        [("dset=CLASSES", "dset=1")],
        "local_simulator.dset: shape [5], expected [1]; mend it or spec.dset",
    ),
    "a d-set with what is known outside only": (
        [
            ("\n\n\ndef buckets", "\n    above: jax.Array = 0.0  # its level\n\n\ndef buckets"),
            ("jax.nn.one_hot(lake.came, CLASSES)", "lake.above[None]"),
            ("dset=CLASSES", "dset=1"),
            ("jnp.int32(0))", "jnp.int32(0), jnp.float32(0))"),
            ("Lake(level - spilt, came)", "Lake(level - spilt, came, lake.above)"),
            ("return lakes", "return lakes._replace(above=jnp.roll(lakes.level, 1))"),
        ],
        "state.above of agent 3 at step 0: local 0.865, global 0.550",
    ),
    "a flow that is only told in bins": (
        [
            ("        moved = ", "        flow = (lakes.level * gates / 4)[:-1]\n        moved = "),
            ("None], rains)", "None], rains + jnp.append(0, flow - came[1:] * BUCKET))"),
        ],
        "state.level of agent 1 at step 0: local 0.348, global 0.446",
    ),
    "dice of Python's": (
        [("return jax.random.uniform(key) / 8", "import random; return random.random()")],
        "local_simulator.noise: two calls with the same arguments differ",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_as_the_page_says(mistake: str, folder: Path) -> None:
    changes, sentence = MISTAKES[mistake]
    text = FILES["river.py"]
    for ours, theirs in changes:
        assert ours in text, ours
        text = text.replace(ours, theirs)
    (folder / "river.py").write_text(text)
    with pytest.raises(UserError) as caught:
        hinterland.check("river:make", agents=4, episodes=1)
    assert plain(sentence) in plain(str(caught.value))
    assert plain(sentence) in plain(PAGE)


@pytest.mark.usefixtures("folder")
def test_the_options_are_declared_as_the_page_says() -> None:
    declared = importlib.import_module("my_options").Options
    assert issubclass(declared, DomainOptions)
    assert declared().model_dump() == {"length": 5, "wet": False}
