"""Figures say what their names say: cars that wait, seconds of compiling, rates, circumstances."""

import json
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import runs
from generated_cities import KINDS
from hinterland.api.display import Display
from hinterland.cli import main
from hinterland.cli.evaluate import MOST_PARTS, by_part
from hinterland.cli.train import result_table
from hinterland.config import Config, make_config
from hinterland.core import UserError
from hinterland.core.figures import in_words, part_of, parts_of
from hinterland.domains import load_domain
from hinterland.domains.host import HostProcess
from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.network import run_tool
from hinterland.record import RunFolder
from hinterland.record.manifest import circumstances, moved
from hinterland.report.gather import gather
from hinterland.report.tables import runtimes
from hinterland.rollout.answers import figures_of
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, train
from hinterland.training.clocks import COMPILING
from hinterland.training.evaluate import figures_of_episodes
from hinterland.training.experiment import ACCELERATED, STRETCH_AGENT_STEPS
from hinterland.training.progress import Silent

CITY = "hinterland.domains.traffic.city_simulation:CityTraffic"
EPISODE_S, WANTED = 300, 400


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("city") / "grid.net.xml"
    run_tool("netgenerate", [*KINDS["grid"], "--no-turnarounds", "true", "-o", file])
    return file


def _each_second(kind: str, inside: str = "", **ends: str) -> str:
    """A car each second, for longer than the episode."""
    where = " ".join(f'{name}="{value}"' for name, value in ends.items())
    return "".join(
        f'<{kind} id="{kind}{i}" depart="{i}" {where}>{inside}</{kind}>' for i in range(WANTED)
    )


ENDS = {"from": "A0A1", "to": "A2B2"}
WAY = '<route edges="A0A1 A1A2 A2B2"/>'
FLOW = f'<flow id="f" begin="0" end="{WANTED}" {{}} {{}}</flow>'
FROM_TO = 'from="A0A1" to="A2B2">'
DEMANDS = {
    "vehicles": _each_second("vehicle", WAY),
    "trips": _each_second("trip", **ENDS),
    "trips by way of an edge": _each_second("trip", **ENDS, via="A1A2"),
    "a flow along a route": FLOW.format('period="1"', ">" + WAY),
    "a flow between edges": FLOW.format('period="1"', FROM_TO),
}


def _figures(net: Path, traffic: str, folder: Path) -> dict[str, float]:
    """Of an episode in which nobody who comes from A0 gets green."""
    routes = folder / "a.rou.xml"
    routes.write_text(f"<routes>{traffic}</routes>")
    city = read_city(net, routes)
    with HostProcess(CITY, city) as session:
        session.begin("reset", 1, None, True)
        for _ in range(EPISODE_S // 5):
            session.call("step", _red(city))
        return session.call("metrics")


def _red(city: City) -> np.ndarray:
    actions = np.zeros(len(city.lights), int)
    (place,) = (i for i, light in enumerate(city.lights) if light.id == "A1")
    light = city.lights[place]
    slot = light.lanes.index("A0A1_0")
    links = [index for index, lane, _ in light.links if lane == slot]
    actions[place] = next(
        i for i, state in enumerate(light.greens) if not any(state[k] in "Gg" for k in links)
    )
    return actions


@pytest.mark.parametrize("name", DEMANDS)
def test_who_wanted_to_depart_counts_let_in_or_not(name: str, net: Path, tmp_path: Path) -> None:
    figures = _figures(net, DEMANDS[name], tmp_path)
    assert figures["throughput"] == 0
    assert figures["vehicles"] == EPISODE_S
    # from when each wanted to enter to the episode's end
    assert figures["travel_time_s"] == pytest.approx((EPISODE_S + 1) / 2)


def test_random_demand_is_the_same_by_trip_and_by_route(net: Path, tmp_path: Path) -> None:
    ways = (">" + WAY, FROM_TO)
    found = [_figures(net, FLOW.format('probability="0.9"', way), tmp_path) for way in ways]
    assert found[0] == found[1]
    assert 0.8 * EPISODE_S < found[0]["vehicles"] < EPISODE_S


def test_cores_that_compile_at_once_count_once() -> None:
    before, here = COMPILING.seconds(0.0), time.perf_counter()

    def tell(event: str, seconds: float) -> None:
        jax.monitoring.record_event_duration_secs(f"/jax/core/compile/{event}", seconds)

    cores = [Thread(target=tell, args=("backend_compile_duration", 5.0)) for _ in range(4)]
    for core in cores:
        core.start()
    for core in cores:
        core.join()
    tell("jaxpr_trace_duration", 4.0)  # within the others
    lasted = time.perf_counter() - here
    assert COMPILING.seconds(here - 5.0) == pytest.approx(5.0, abs=lasted + 0.1)
    assert 0 < COMPILING.seconds(0.0) - before <= 5.0 + lasted
    assert COMPILING.seconds(time.perf_counter()) == 0, "what came before does not count"


class _Interrupted(Silent):
    """Has had enough after so many lines of metrics."""

    def __init__(self, lines: int) -> None:
        self._left = lines

    def overall(self, step: int, values: dict[str, float]) -> None:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


def _config() -> Config:
    # refreshed every second stretch, evaluated every fourth
    small = {"network": "feed-forward", "predictor": "feed-forward", "hidden": 8, "trunk": 8}
    return make_config(
        {"domain": "corridor", "agents": 2, "copies": 8, "steps": 8 * 128, "refresh": 256,
         "evaluate_every": 128, "predictor_episodes": 16, "evaluate_episodes": 4,
         "final_episodes": 4, **small}
    )  # fmt: skip


DOMAIN = load_domain("corridor", 2)


def _train(
    path: Path, every: float, lines: int | None = None, runtime: LocalRuntime | None = None
) -> RunFolder:
    """A run in that folder from where it stands to its end, or until there are so many lines."""
    config, checkpoint = _config(), None
    if path.exists():
        folder = RunFolder.open(path)
        if folder.checkpoint_steps():
            checkpoint = folder.load_checkpoint()
        folder.truncate_metrics(checkpoint[1]["metrics_lines"] if checkpoint else 0)
    else:
        folder = RunFolder.create(path, config.model_dump(exclude_none=True), {})
    spent = checkpoint[1]["spent"] if checkpoint else None
    progress = Silent() if lines is None else _Interrupted(lines)
    runtime = runtime or LocalRuntime(1)
    experiment = Experiment(config, DOMAIN, runtime, folder, progress, spent, every)
    try:
        train(experiment, checkpoint)
    except KeyboardInterrupt:
        assert lines is not None
    finally:
        folder.close()
    return folder


def _measured(folder: RunFolder) -> list[dict[str, float]]:
    """What the run measured but for times."""
    times = ("wall_s", "steps_per_s", "time/", "memory/")
    return [
        {name: x for name, x in line.items() if not any(word in name for word in times)}
        for line in folder.metrics()
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return _train(tmp_path_factory.mktemp("whole") / "run", every=1e9)


def test_no_result_depends_on_when_checkpoints_are_written(
    whole: RunFolder, tmp_path: Path
) -> None:
    often = _train(tmp_path / "often", every=1e-9)
    runs.assert_same(whole.load_checkpoint()[0], often.load_checkpoint()[0])
    assert _measured(whole) == _measured(often)
    assert (whole.checkpoint_steps(), often.checkpoint_steps()) == ([1024], [896, 1024])
    saving = [folder.metrics()[-1]["time/save_s"] for folder in (whole, often)]
    assert 0 < saving[0] < saving[1]


def test_a_run_interrupted_anywhere_saves_its_newest_stretch(
    whole: RunFolder, tmp_path: Path
) -> None:
    """Within learning and between stretches: what is measured stands once, and nothing differs."""
    lines = [(line["step"], line["phase"]) for line in whole.metrics()]
    places = {kind: lines.index(kind) + 1 for kind in ((256, "fit"), (384, "train"))}
    places[512, "evaluate"] = lines.index((512, "evaluate")) + 1
    for (step, phase), line in places.items():
        path = tmp_path / f"{step}-{phase}"
        before = _train(path, 1e9, lines=line).checkpoint_steps()
        # a line of learning comes before its stretch is whole
        assert before == [step - 128 if phase == "train" else step]
        resumed = _train(path, 1e9)
        runs.assert_same(whole.load_checkpoint()[0], resumed.load_checkpoint()[0])
        assert _measured(whole) == _measured(resumed)


def test_where_stretches_end_follows_from_the_kind_of_device(tmp_path: Path) -> None:
    """As long as evaluation and refresh allow, and on CPUs about a minute at most."""
    config = make_config({"domain": "corridor", "steps": 10_000_000, "agents": 100})
    each = config.steps_per_update * 100
    stops = {}
    for platform in ("cpu", "gpu"):
        runtime = LocalRuntime(1)
        runtime.devices = [SimpleNamespace(platform=platform)]  # type: ignore[list-item]
        experiment = Experiment(config, load_domain("corridor", 100), runtime)
        stops[platform] = experiment.next_stop(0)
        assert experiment.next_stop(0) == Experiment(
            config, load_domain("corridor", 100), runtime, checkpoint_every_s=60.0
        ).next_stop(0)
    assert stops["cpu"] == max(1, STRETCH_AGENT_STEPS // each)
    assert stops["gpu"] == min(
        STRETCH_AGENT_STEPS * ACCELERATED // each,
        -(-config.evaluation_steps // config.steps_per_update),
    )


def test_the_display_shows_that_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """The phase under way counts up to now; evaluation does not."""
    spent = {"collect": 100.0, "fit": 100.0, "train": 300.0, "evaluate": 1e6}
    with Display(20_000, 9_000, 10, spent=spent) as display:
        display.phase("train", 11_000)
        display.advance(500)
        display.advance(500)
        display.overall(1_000, {"time/train_s": 800.0})
        display.overall(1_000, {"eval/sampled/return": 1.0, "time/evaluate_s": 2e6})
    lines = [line for line in capsys.readouterr().err.splitlines() if "agent-steps/s" in line]
    assert lines
    assert all(" 10 agent-steps/s in training" in line for line in lines)


def test_the_manifest_names_what_bits_depend_on() -> None:
    here, devices = circumstances(), ["cpu:0 cpu"]
    manifest = {**here, "devices": devices}
    assert here["processor"]
    cases = {
        "processor": ({"processor": "Z80"}, devices),
        "jax": ({"versions": {**here["versions"], "jax": "0.1"}}, devices),
        "devices": ({}, ["gpu:0 NVIDIA H200"]),
    }
    for name, (changes, now) in cases.items():
        said = moved({**manifest, **changes}, now)
        assert said is not None, name
        assert said.startswith(f"this run began with {name} "), said
    assert moved(manifest, ["cpu:0 cpu", "cpu:1 cpu"]) is None, "more cores change no bit"
    assert moved({"versions": here["versions"]}, devices) is None, "runs of earlier versions"


def test_a_resumed_run_says_where_it_began_and_has_one_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In metrics, summary and report; steps and seconds of its earlier part count."""
    path = tmp_path / "run"
    _train(path, 1e9, lines=9)
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "processor": "Z80"}))
    assert main(["train", "--resume", str(path), "--no-report", "--devices", "1"]) == 0
    said, told = capsys.readouterr()
    assert "note: this run began with processor Z80; here is processor " in told
    folder = RunFolder.read(path)
    summary = folder.summary()
    assert summary is not None
    seconds = [summary["time"][f"{phase}_s"] for phase in ("collect", "fit", "train")]
    rate = summary["agent_steps_per_s"]
    assert rate == pytest.approx(1024 * 2 / sum(seconds))
    assert folder.metrics()[-1]["agent_steps_per_s"] == pytest.approx(rate)
    (row,) = runtimes(gather([path]))
    assert row["agent-steps/s in training"] == rate
    assert f"{rate:,.0f} agent-steps/s in training" in said
    assert " agent-steps/s in training" in told


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e400", "soon"])
def test_seconds_between_checkpoints_are_above_0(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "corridor", f"--checkpoint-every={seconds}", "--out", str(run)]) == 2
    assert "--checkpoint-every" in capsys.readouterr().err
    assert not run.exists()


def test_names_of_figures_say_their_unit_and_of_which_part_they_are() -> None:
    assert in_words("travel_time_s") == ("travel time", "s")
    assert in_words("co2_g") == ("co2", "g")
    assert in_words("queue") == ("queue", "")
    assert in_words("s") == ("s", "")
    names = {
        "delay_s": 1.0,
        "delay_s/light/A/1": 2.0,
        "delay_s/light/A/1_std": 9.0,
        "ice/factory": 3,
    }
    assert part_of("delay_s/light/A/1", names) == ("delay_s", "light", "A/1")
    assert part_of("return/a/b", names) is None, "no figure is called return"
    assert parts_of(names | {"delay_s/light/B": "a word"}) == {"light": {"A/1": {"delay_s": 2.0}}}


def _shown(of: dict) -> dict:
    every = {"return_mean": -4.0, "return_ci95": 1.0, "episodes": 8, **of}
    return {
        "eval": {"learned": every, "random": every},
        "shown": ["delay_s", "travel_time_s"],
        "step": 10,
        "agent_steps_per_s": 1.0,
        "wall_s": 2.0,
        "memory": {"peak_mb": 3.0},
    }


def test_the_summary_shows_them_beside_the_return() -> None:
    found = result_table(_shown({"delay_s": 24.68, "travel_time_s": 1088.0}))
    assert found.count("(95 %, 8 episodes)  delay 24.7 s, travel time 1,088.0 s") == 2
    assert "delay" not in result_table(_shown({"queue": 1.0, "delay_s": "a word"}))
    parts = {f"delay_s/light/{i}": float(i) for i in range(MOST_PARTS + 2)}
    lines = list(by_part({"delay_s": 1.0, **parts, "delay_s/class/bus": 1.0}))
    assert len(lines) == MOST_PARTS + 2, "a single class is the whole"
    assert lines[0].split() == ["by", "light", "delay_s"]
    assert lines[2].split() == ["1", "1.00"]
    assert lines[-1].strip() == "and 2 more: --json has all"


def test_of_nobody_there_is_no_figure() -> None:
    """An episode without any counts in no mean; a figure that is not finite is a mistake."""
    told = [{"delay_s": 1.0, "delay_s/class/bus": x} for x in (4.0, None, 2.0)]
    assert figures_of("city", told) == told
    with pytest.raises(UserError, match="gives 'delay_s' as nan, which is not finite"):
        figures_of("city", [{"delay_s": float("nan")}])
    domain = load_domain("traffic", 1)  # no process is started
    whole = np.ones((3, 1)), np.ones(3), np.ones(3)
    own = {"bus": np.array([4.0, np.nan, 2.0]), "tram": np.full(3, np.nan)}
    found = figures_of_episodes([(*whole, own)], 3, domain)
    assert (found["bus"], found["bus_std"]) == (3.0, pytest.approx(2**0.5))
    assert "tram" not in found
    with pytest.raises(UserError, match="bus as inf"):
        figures_of_episodes([(*whole, {"bus": np.full(3, np.inf)})], 3, domain)
