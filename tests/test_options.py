"""What domains declare: options, presets, benchmarks, published figures; ours and a stranger's."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hinterland.cli import main
from hinterland.cli.study import read_study, values_of
from hinterland.config import make_config
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.domains.declared import options_of
from hinterland.record import RunFolder

THIRD_PARTY = Path(__file__).parent / "third_party"
EMPTY = "from hinterland.domains.corridor import make\n"
MINE = "from orchard.row import make\nfrom orchard.options import RowOptions as Options\n"
DECLARES = f"{EMPTY}from hinterland.core.options import DomainOptions\n"


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, where the stranger's package is installed."""
    installed = tmp_path / "site" / "orchard_domains-1.2.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: orchard-domains\nVersion: 1.2\n"
    )
    (installed / "entry_points.txt").write_text((THIRD_PARTY / "entry_points.txt").read_text())
    for place in (THIRD_PARTY, installed.parent):
        monkeypatch.syspath_prepend(str(place))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "orchard"]:
        del sys.modules[name]


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """(status, standard output, standard error) of a command; help ends it by itself."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


def test_a_strangers_domain_is_listed(orchard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "domains")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert status == 0
    assert lines["orchard"].split()[1] == "agents"
    assert "pickers who pass apples along a row of trees (orchard-domains 1.2)" in lines["orchard"]
    assert "entities" in lines["anthill"]
    assert "(hinterland 0." in lines["traffic"]
    found = {one["name"]: one for one in json.loads(said(capsys, "domains", "--json")[1])}
    assert set(found["orchard"]["options"]) == {"basket", "ripening", "weather", "ladders"}
    assert found["orchard"]["benches"] == ["orchard-picking"]


def test_a_strangers_options_are_in_its_help(
    orchard: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    own = said(capsys, "train", "orchard", "--help")[1].partition("options of orchard:")[2]
    for part in (
        "--basket N", "apples that a basket holds, pieces (default: 2; 1 to 9)",
        "--ripening X", "(default: 0.5; 0 to 1)", "--weather {dry,wet}", "--no-ladders",
    ):  # fmt: skip
        assert part in own
    general = said(capsys, "train", "--help")[1]
    assert "--basket" not in general
    assert "hinterland train DOMAIN --help" in general
    assert "orchard" in general  # among the domains
    assert "--grid" not in said(capsys, "train", "orchard", "--help")[1]
    assert "--grid" in said(capsys, "train", "traffic", "--help")[1]


def test_a_strangers_domain_is_learned_with_dials(
    orchard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, error = said(
        capsys, "train", "orchard", "--agents", 3, "--weather", "wet", "--steps", 256,
        "--predictor-epochs", 2, "--out", "run", "--json",
    )  # fmt: skip
    assert status == 0, error
    assert {"learned", "random", "heuristic"} <= json.loads(out.splitlines()[-1])["eval"].keys()
    folder = RunFolder.read(Path("run"))
    assert folder.config["domain_options"] == {"basket": 3, "weather": "wet"}  # preset, and given
    assert folder.config["simulation"] == "dials"
    page = Path("run/report.html").read_text()
    assert "apples that a basket holds, pieces" in page
    assert "paper, dials F=2K" in page
    assert json.loads(Path("run/replay.json").read_text())["frames"][0][0]["kind"] == "text"
    assert make_config(folder.config).model_dump(exclude_none=True) == folder.config
    status, _, error = said(capsys, "train", "--resume", "run", "--basket", 4)
    assert (status, "leave out --basket" in error) == (2, True)


def test_a_strangers_figures_stand_beside_the_return(
    orchard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, error = said(capsys, "train", "anthill", "--out", "run", "--json", "--no-report")
    assert status == 0, error
    assert json.loads(out.splitlines()[-1])["eval"]["learned"]["ants_hatched"] >= 3
    assert any(
        "eval/sampled/ants_hatched" in line for line in RunFolder.read(Path("run")).metrics()
    )


def test_a_strangers_benchmark_runs(orchard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "bench", "orchard-picking", "--hands", 3, "--json")
    assert (status, json.loads(out.splitlines()[-1])) == (0, {"apples": 6})
    assert "how many apples two hands pick" in said(capsys, "bench", "--help")[1]


REFUSED = [
    ("train warehouse --grid 2x2", "--grid is an option of traffic and not of warehouse"),
    ("train --grid 2x2 warehouse", "--grid is an option of traffic and not of warehouse"),
    ("train corridor --net a.xml", "--net is an option of traffic"),  # and short for no --network
    ("train lux --no-ladders", "--ladders is an option of orchard and not of lux"),
    ("train orchard --map 3", "--map is an option of lux and not of orchard"),
    ("train orchard --basket 0", "--basket 0: must be at least 1"),
    ("train orchard --basket two", "--basket: 'two' is not a whole number"),
    ("train orchard --weather hot", "invalid choice: 'hot'"),
    ("train orchard --agents 3 --basket 6 --ladders", "--ladders: is for baskets of up to 5"),
    ("train no-such-domain", "domain 'no-such-domain' is not known; known: anthill, colony"),
    ("train strange:make --basket 0", "--basket 0: must be at least 1"),
    ("train clash:make", "declares an option 'hidden', which every run has: rename it"),
    ("train taken:make", "declares an option 'out', which is the command's own: rename it"),
    ("train formless:make", "its 'Options' is 'dict' and no subclass of"),
    ("train plain:make --basket 3", "--basket is an option of orchard and not of plain:make"),
    ("check plain:make --grid 2x2", "--grid is an option of traffic and not of plain:make"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_what_is_not_of_the_domain_is_refused(
    orchard: Path, capsys: pytest.CaptureFixture[str], words: str, sentence: str
) -> None:
    for name, text in {
        "plain": EMPTY,
        "strange": MINE,
        "clash": f"{DECLARES}class Options(DomainOptions):\n    hidden: int = 3\n",
        "taken": f"{DECLARES}class Options(DomainOptions):\n    out: int = 3\n",
        "formless": f"{EMPTY}Options = {{}}\n",
    }.items():
        (orchard / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
    before = {path.name for path in orchard.iterdir()}
    status, _, error = said(capsys, *words.split())
    assert status == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert {path.name for path in orchard.iterdir()} - before <= {"__pycache__"}


def test_the_options_of_a_module_are_found_in_it(
    orchard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (orchard / "mine.py").write_text(MINE)
    assert "options of mine:make" in said(capsys, "train", "mine:make", "--help")[1]
    status, out, _ = said(capsys, "check", "mine:make", "--agents", 2, "--basket", 4)
    assert (status, "passed: " in out) == (0, True)


def test_factories_that_declare_nothing_still_work(orchard: Path) -> None:
    (orchard / "bare.py").write_text(
        "from hinterland.domains.corridor import Corridor\n"
        "def make(agents, length=20):\n"
        "    made = Corridor(agents)\n    made.length = length\n    return made\n"
    )
    sys.modules.pop("bare", None)
    made: Any = load_domain("bare:make", 2, {"length": 7})
    assert (made.agents, made.length) == (2, 7)
    with pytest.raises(UserError, match="--width is not an option of domain 'bare:make'"):
        load_domain("bare:make", 2, {"width": 7})


def test_a_declared_option_reaches_the_factory_as_declared(orchard: Path) -> None:
    made: Any = load_domain("orchard", 2, {"ladders": True})
    assert made.spec.observation == 4  # a basket of 2 by default, one on top, and none
    with pytest.raises(UserError, match="--ripening 2: must be at most 1"):
        load_domain("orchard", 2, {"ripening": 2})


LAYOUTS = [
    {"domain": "traffic", "grid": "2x3", "inflow": 0.2},  # runs of before the table
    {"domain": "traffic", "domain_options": {"grid": "2x3", "inflow": 0.2}},
    {"domain": "traffic", "grid": "2x3", "domain_options": {"grid": "9x9", "inflow": 0.2}},
]


@pytest.mark.parametrize("values", LAYOUTS)
def test_a_domains_settings_are_read_flat_or_from_their_table(values: dict[str, Any]) -> None:
    config = make_config(values)
    assert config.domain_options == {"grid": "2x3", "inflow": 0.2}
    assert config.agents == 6
    written = config.model_dump(exclude_none=True)
    assert written["domain_options"] == config.domain_options
    assert make_config(written) == config
    assert "domain_options" not in make_config({"domain": "warehouse"}).model_dump()


def test_a_study_may_name_a_domains_options_flat_or_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    head = 'name = "s"\nseeds = [0]\n[base]\ndomain = "traffic"\nagents = 6\n'
    flat = 'grid = "2x3"\n[variants.a]\ninflow = 0.3\n'
    table = '[base.domain_options]\ngrid = "2x3"\n[variants.a.domain_options]\ninflow = 0.3\n'
    runs = []
    for text in (flat, table):
        path.write_text(head + text)
        runs.append(values_of(read_study(path, path.read_bytes()), "a", 0))
    assert runs[0] == runs[1]
    assert runs[0]["domain_options"] == {"grid": "2x3", "inflow": 0.3}
    path.write_text(head + "[base.domain_options]\nmap = 3\n[variants.a]\n")
    with pytest.raises(UserError, match="--map is an option of lux and not of traffic"):
        read_study(path, path.read_bytes())


def test_options_need_no_jax() -> None:
    code = (
        "import sys\nfrom hinterland.domains.declared import light, installed\n"
        "names = [name for name, _ in light()]\n"
        "assert names == [name for name, _ in installed()], names\n"
        "sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_two_places_of_our_own_options_agree() -> None:
    """The entry point that needs no JAX, and the factory's module."""
    from importlib import import_module

    from hinterland.domains.registry import points

    ours = {name: point for name, point in points().items() if "hinterland." in point.value}
    assert len(ours) == 8
    for name, point in ours.items():
        assert import_module(point.module).Options is options_of(name), name
        assert options_of(name).summary
        assert options_of(name).kind
