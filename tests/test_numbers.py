"""Numbers beyond any machine, options that a run would not read, and what a run will take."""

import contextlib
import io
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic.fields import FieldInfo

from hinterland.applies import check_applies, given, ignored
from hinterland.cli.arguments import whole
from hinterland.cli.main import main
from hinterland.cli.study import read_study, values_of
from hinterland.config import MILLION, SEEDS, STEPS, Config, declared_by, make_config
from hinterland.core import UserError, stream
from hinterland.core.bounds import kinds_of, range_of
from hinterland.domains import known_domains, load_domain
from hinterland.domains.declared import light
from hinterland.domains.lux.domain import make as make_lux
from hinterland.runtime import LocalRuntime
from hinterland.training import check_config, check_resources, estimate, evaluate, evaluate_scripted
from hinterland.training.opponents import parse_mix

SOURCES = Path(__file__).parents[1] / "src" / "hinterland"

# ------------------------------------------------------------------ numbers on the command line

NUMBERS = (
    "1e400", "-1e400", "nan", "inf", "1e308k", "1e6", "1e30", "-1", "0", "0.5", "", "1_000", "٣",
    "²", "9" * 5000, "1e99999999", "1" + "0" * 400 + ".5",
)  # fmt: skip
COUNT, SEED, STEP = (1, MILLION), (0, SEEDS), (0, STEPS)
OPTIONS: dict[str, dict[str, tuple[float, float]]] = {
    # By the words before it: (least, most) of each option that is no field of the configuration.
    "train corridor": {"devices": (1, 256)},
    "evaluate nowhere": {"episodes": (2, MILLION), "step": STEP, "seed": SEED, "devices": (1, 256)},
    "watch nowhere": {"seed": SEED},
    "check corridor": {"agents": (1, 10_000), "episodes": (1, 10_000), "seed": SEED},
    "export lux nowhere": {"step": STEP},
    "study nowhere.toml": {"jobs": (1, 256), "seeds": SEED},
    "doctor": {"devices": (1, 256)},
    "bench simulator": {"repeat": (1, 1_000), "agents": (1, 10_000), "devices": (1, 256)},
    "bench training": {"repeat": (1, 1_000), "agents": (1, 10_000), "devices": (1, 256)},
    "bench growth": {"repeat": (1, 1_000), "agents": (1, 10_000), "devices": (1, 256)},
    "bench lux-speed": {"repeat": (1, 1_000), "devices": (1, 256)},
    "bench cluster": {
        "agents": (1, 10_000), "workers": (0, 256), "updates": (1, 100_000), "copies": COUNT,
        "predictor-episodes": (2, MILLION), "predictor-epochs": (1, 100_000),
    },
    "bench pipeline": {
        "repeat": (1, 1_000), "agents": (1, 1_000), "updates": (2, MILLION), "lag": (0, 1_000),
        "devices": (1, 256),
    },
    "bench traffic-fidelity": {"seconds": (60, MILLION), "seed": SEED},
    "bench traffic-local": {"repeat": (1, 1_000), "seconds": (60, MILLION), "seed": SEED},
    "bench traffic-growth": {
        "repeat": (1, 1_000), "agents": (1, 10_000), "steps": (1, STEPS), "seed": SEED,
        "updates": (1, 100_000), "devices": (1, 256),
    },
}  # fmt: skip
REAL = {"bench pipeline": {"step-ms": (0, 10_000)}}
PATTERNS = ("keep", "grouping")
"""Words with numbers inside."""
FIELDS = {
    (domain, name): field
    for domain, fields in (
        ("corridor", Config.model_fields),
        *((domain, declared.model_fields) for domain, declared in light()),
    )
    for name, field in fields.items()
    if range_of(field).most < float("inf") and name != "credit"
}
"""Numbers of the configuration, and those of one domain, by (domain, name)."""


def is_real(field: FieldInfo) -> bool:
    return float in kinds_of(field.annotation)


def allowed(text: str, least: float, most: float, real: bool, above: bool = False) -> bool:
    """Whether an option with these bounds takes the text."""
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?(e\d+)?", text, re.ASCII):
        return False
    value = float(text)
    inside = least <= value <= most and not (above and value == least)
    return inside and (real or value == int(value))


def cases() -> list[tuple[list[str], str]]:
    """(words of the command, text) of every option with every number that it must refuse."""
    found = []
    for options, real in ((OPTIONS, False), (REAL, True)):
        for words, names in options.items():
            for name, bounds in names.items():
                for text in NUMBERS:
                    if not allowed(text, *bounds, real):
                        found.append(([*words.split(), f"--{name}={text}"], text))
    for (domain, name), field in FIELDS.items():
        bounds = range_of(field)
        for text in NUMBERS:
            if not allowed(text, bounds.least, bounds.most, is_real(field), bounds.above):
                flag = f"--{name.replace('_', '-')}={text}"
                found.append((["train", domain, flag], text))
    taken = {("credit", "0"), ("credit", "0.5")}
    for name in (*PATTERNS, "credit"):
        found += [(["train", "corridor", f"--{name}={text}"], text) for text in NUMBERS
                  if (name, text) not in taken]  # fmt: skip
    for name in ("keep", "grouping"):
        rule = {"keep": "top-", "grouping": "mod-"}[name]
        found += [(["train", "corridor", f"--{name}={rule}{text}"], text) for text in NUMBERS]
    found += [(["train", "traffic", f"--grid={text}x{text}"], text) for text in NUMBERS]
    found += [(["train", "lux", f"--blocks={text}"], text) for text in NUMBERS if text != "0"]
    return found


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_by(words: list[str]) -> tuple[int, str]:
    """(exit status, what the command writes to standard error)."""
    with contextlib.redirect_stderr(io.StringIO()) as heard:
        status = main(words)
    return status, heard.getvalue()


def test_every_option_refuses_numbers_beyond_any_machine_in_one_sentence(
    empty_folder: Path,
) -> None:
    tried = cases()
    assert len(tried) > 1_200, len(tried)
    for words, text in tried:
        status, said = said_by(words)
        assert status == 2, (words, said)
        assert len(said.splitlines()) == 1, (words, said)
        assert len(said) < 400, (words, said)
        assert said.startswith(f"hinterland {words[0]}: "), (words, said)
        assert any(word in said for word in ("must be", "is not a")), (words, said)
        assert text[:30] in said or not text, (words, said)
    status, said = said_by(["train", "traffic", "--grid", "9999x9999"])
    assert (status, said) == (
        2, "hinterland train: --agents 99980001: must be at most 1,000,000\n"
    )  # fmt: skip
    assert not list(empty_folder.iterdir())


def test_every_field_that_holds_numbers_has_bounds_and_help_says_them() -> None:
    for domain, fields in (
        ("corridor", Config.model_fields),
        *((domain, declared.model_fields) for domain, declared in light()),
    ):
        for name, field in fields.items():
            if {int, float} & kinds_of(field.annotation) and name != "credit":
                assert (domain, name) in FIELDS, f"{name} of {domain} has no bounds"
    with contextlib.redirect_stdout(io.StringIO()) as heard, pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(heard.getvalue().split())
    assert "local simulator (default: 128; preset paper: 1; 1 to 1,000,000)" in text
    assert text.count(" to 1,000,000") > 10


@pytest.mark.parametrize(
    ("text", "value"), [("4M", 4_000_000), ("250k", 250_000), ("4e6", 4_000_000), ("1e15k", None),
                        (" 12 ", 12), ("1.5k", 1_500), ("9007199254740993", None)],
)  # fmt: skip
def test_whole_numbers_are_read_as_written(text: str, value: int | None) -> None:
    if value is None:
        with pytest.raises(Exception, match="must be at most"):
            whole(0, STEPS)(text)
    else:
        assert whole(0, STEPS)(text) == value


def test_numbers_inside_words_are_bounded_too() -> None:
    for text in NUMBERS:
        if text not in ("0", "0.5", "1e6"):
            with pytest.raises(UserError, match=r"--opponents .*: must be NAME=WEIGHT"):
                parse_mix(f"latest=1,random={text}", ["random"])
        with pytest.raises(UserError, match="factories"):
            make_lux(32, map=16, factories=text)


# ------------------------------------------------------------------------ numbers in a file

VALUES = (float("inf"), -float("inf"), float("nan"), 10**30, -(10**30), 10**400, 1e30, -1, -0.5,
          True, "12", "1_000", [1], {"a": 1})  # fmt: skip


def test_a_file_may_say_no_more_than_the_command_line(empty_folder: Path) -> None:
    tried = 0
    for domain, name in FIELDS:
        for value in VALUES:
            if (name, value) == ("teleport", -1):  # never, as SUMO writes it
                continue
            with pytest.raises(UserError) as caught:
                make_config({"domain": domain, name: value, **within(name)})
            said = str(caught.value)
            assert said.startswith(f"--{name.replace('_', '-')} "), said
            assert len(said) < 300, said
            assert "\n" not in said
            tried += 1
    assert tried > 600, tried
    for line in ("learning_rate = inf", "clip = nan", "copies = 1" + "0" * 30, "copies = 1e30"):
        (empty_folder / "x.toml").write_text(f'domain = "corridor"\n{line}\n')
        status, said = said_by(["train", "--config", "x.toml"])
        assert (status, len(said.splitlines())) == (2, 1), said
    assert [path.name for path in empty_folder.iterdir()] == ["x.toml"]


def within(name: str) -> dict[str, Any]:
    """What a field is a part of."""
    of_schedule = {"schedule": "pipeline"} if name in (
        "workers", "actors", "copies_per_process", "lag", "queue", "snapshot_every", "pool"
    ) else {}  # fmt: skip
    pool = {"opponents": "past=1"} if name in ("snapshot_every", "pool") else {}
    return of_schedule | pool


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    config = make_config({"domain": "corridor", "steps": 1e6, "refresh": 1e5, "clip": 1})
    assert (config.steps, config.refresh, config.clip) == (1_000_000, 100_000, 1.0)
    assert isinstance(config.steps, int)
    assert isinstance(config.refresh, int)


def test_updates_are_counted_in_32_bits() -> None:
    values = {"domain": "corridor", "copies": 1, "window": 1, "minibatches": 1}
    with pytest.raises(UserError, match="raise --copies, --window or --windows"):
        make_config({**values, "steps": 2**31})
    assert make_config({**values, "steps": 2**31 - 1}).total_updates == 2**31 - 1


# ---------------------------------------------------------------------- options that are ignored

KINDS: dict[str, dict[str, Any]] = {
    "dials": {"domain": "corridor"},
    "untrained": {"domain": "corridor", "simulation": "untrained"},
    "global": {"domain": "corridor", "simulation": "global"},
    "entities": {"domain": "colony"},
    "boards": {"domain": "lux", "map": 16},
    "apart": {"domain": "corridor", "schedule": "lockstep"},
    "lockstep": {"domain": "corridor", "simulation": "global", "schedule": "lockstep"},
    "pipeline": {"domain": "colony", "schedule": "pipeline"},
    "league": {"domain": "combat", "schedule": "lockstep", "opponents": "latest=1,past=1"},
}
ALL = frozenset(KINDS)
SCHEDULED = frozenset(("lockstep", "pipeline", "league"))
TOGETHER = ALL - {"dials", "untrained", "apart"}
"""One system of all slots; among the others each region has a learner of its own."""
LOCAL, DIALS = ALL - TOGETHER, frozenset(("dials", "apart"))
# For each field: another value than the kinds' own, and where it is read. Elsewhere it is refused.
READ: dict[str, tuple[Any, frozenset[str]]] = {
    "agents": (20, ALL),
    "steps": (77_777, ALL),
    "refresh": (5_000, DIALS),
    "refreshes": (7, DIALS),
    "preset": ("paper", ALL - {"entities", "pipeline", "league"}),  # it is of local simulators
    "seed": (3, ALL),
    "simulation": ("untrained", LOCAL | {"global", "lockstep"}),
    "shared_policy": (True, frozenset(("global",))),
    "evaluate_every": (5_000, ALL),
    "evaluations": (7, ALL),
    "evaluate_episodes": (10, ALL),
    "final_episodes": (10, ALL),
    "network": ("gru", ALL - {"boards"}),
    "hidden": (16, ALL - {"boards"}),
    "trunk": (16, ALL - {"boards"}),
    "copies": (96, ALL),
    "window": (48, ALL),
    "windows": (6, ALL),
    "epochs": (7, ALL),
    "minibatches": (2, ALL),
    "learning_rate": (0.1, ALL),
    "anneal_rate": (None, ALL),
    "clip": (0.3, ALL),
    "anneal_clip": (None, ALL),
    "clip_value": (None, ALL),
    "value_weight": (0.7, ALL),
    "entropy_weight": (0.7, ALL),
    "anneal_entropy": (None, ALL),
    "gradient_norm": (0.7, ALL),
    "adam_epsilon": (0.1, ALL),
    "discount": (0.8, ALL),
    "trace": (0.8, ALL),
    "predictor": ("feed-forward", LOCAL),
    "predictor_hidden": (8, LOCAL),
    "predictor_episodes": (8, DIALS),
    "predictor_epochs": (8, DIALS),
    "predictor_batch": (8, DIALS),
    "predictor_rate": (0.1, DIALS),
    "credit": (0.25, TOGETHER),
    "team_reward": ("sum", frozenset(("league",))),  # combat's preset pays half of it
    "grouping": ("mod-2", TOGETHER),
    "global_parts": ("entropy", TOGETHER),
    "keep": ("top-1", ALL),
    "normaliser": ("steps", ALL),
    "slot_networks": ("own", ALL - {"boards"}),
    "pieces": (2, ALL),
    "schedule": ("pipeline", ALL),
    "workers": (3, SCHEDULED | {"apart"}),
    "actors": (1, SCHEDULED),
    "copies_per_process": (2, frozenset()),  # none of them lives in processes
    "lag": (3, frozenset(("pipeline",))),
    "queue": (3, frozenset(("pipeline",))),
    "correction": ("clip", TOGETHER),
    "critic": ("central", frozenset(("league",))),  # the others show no whole state
    "opponents": ("latest=1,past=2", frozenset(("league",))),
    "snapshot_every": (3, frozenset(("league",))),
    "pool": (3, frozenset(("league",))),
}
ONE_DOMAIN: dict[str, tuple[Any, frozenset[str]]] = {
    # Those of one domain only; the registry knows which.
    "regions": (2, frozenset(("entities", "pipeline"))),
    "map": (24, frozenset(("boards",))),
    "factories": ("1", frozenset(("boards",))),
    "length": (500, frozenset(("boards",))),
    "train_length": (100, frozenset(("boards",))),
    "water": (True, frozenset(("boards",))),
    "channels": (8, frozenset(("boards",))),
    "blocks": ("2", frozenset(("boards",))),
    "detectors": (1, frozenset(("league",))),
    "opponent": ("nearest", frozenset(("league",))),
}
ELSEWHERE = {"local": "sumo", "grid": "2x2", "inflow": 0.2, "net": "x", "routes": "x", "seconds": 9,
             "additional": "x", "sumocfg": "x", "begin": 9, "warm_up": 9, "teleport": 9,
             "program": "x", "decision": 9, "yellow": 2, "least_green": 9, "view": 9,
             "reward": "queue", "scenario": "3m", "fallen": "stay", "env": "a:b", "horizon": 7,
             "region": "2x2"}  # fmt: skip
"""Of traffic, smax, pettingzoo and warehouse, none of which is a kind above."""


def refused(values: dict[str, Any]) -> str | None:
    """What `hinterland train` says before it begins, if it refuses."""
    try:
        config = make_config(values)
        domain: Any = load_domain(config.domain, config.agents, config.domain_options)
        check_config(config, domain)
        check_applies(config, hasattr(domain, "own_network"))
    except UserError as error:
        return str(error)
    return None


def test_every_field_is_read_or_refused_in_every_kind_of_run() -> None:
    table = READ | ONE_DOMAIN | {name: (x, frozenset()) for name, x in ELSEWHERE.items()}
    fields = set(Config.model_fields) - {"domain", "domain_options"}
    declared = {name: field for _, each in light() for name, field in each.model_fields.items()}
    assert fields | set(declared) == set(table), (fields | set(declared)) ^ set(table)

    def setting(config: Config, name: str) -> Any:
        if name in fields:
            return getattr(config, name)
        mine = declared_by(config.domain).model_fields
        return config.domain_options.get(name, mine[name].default if name in mine else None)

    for kind, own in KINDS.items():
        base = make_config(own)
        assert refused(own) is None, kind
        for name, (value, where) in table.items():
            was = setting(base, name)
            other = (not was) if value is None else value
            said = refused({**own, name: other})
            if kind in where:
                assert said is None, (kind, name, said)
                assert other in (was, setting(make_config({**own, name: other}), name))
            elif other != was:
                assert said, (kind, name)
                assert "\n" not in said
                others = (
                    "network",
                    "schedule",
                    "simulation",
                    "preset",
                )  # another sentence, as good
                assert name.replace("_", "-") in said or name in others


def test_every_field_is_read_somewhere() -> None:
    """A field that no code asks for could only be ignored."""
    text = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    settings = (SOURCES / "learn" / "ppo.py").read_text()
    for name in Config.model_fields:
        asked = re.search(rf"\b(config|self|_config)\.{name}\b", text)
        assert asked or re.search(rf"^    {name}: ", settings, re.MULTILINE), name


PAIRS = [
    # (settings, what the refusal must say)
    ({"domain": "corridor", "refresh": 50, "refreshes": 3}, "--refreshes 3: is for --refresh auto"),
    ({"domain": "corridor", "evaluate_every": 50, "evaluations": 3}, "for --evaluate-every auto"),
    ({"domain": "colony", "team_reward": "sum", "credit": "agent"}, "team-reward sum: nothing of"),
    ({"domain": "colony", "credit": 0.5, "global_parts": "reward"}, "pays everybody the team's"),
    ({"domain": "traffic", "simulation": "global", "local": "sumo"}, "--local sumo: is for local"),
    ({"domain": "traffic", "seconds": 100}, "--seconds 100: is for your own network"),
    ({"domain": "corridor", "schedule": "lockstep", "queue": 3}, "--queue: each region"),
    ({"domain": "colony", "schedule": "lockstep", "queue": 3}, "--queue 3: is for --schedule pip"),
    ({"domain": "combat", "schedule": "lockstep", "opponents": "latest=1", "pool": 3},
     "--pool 3: is for --opponents past=WEIGHT"),
    ({"domain": "colony", "schedule": "lockstep", "channels": 8},
     "--channels is an option of lux and not of colony"),
    ({"domain": "colony", "channels": 8}, "--channels is an option of lux and not of colony"),
    ({"domain": "colony", "slot_networks": "role"}, "--slot-networks role: colony knows no roles"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), PAIRS)
def test_an_option_that_others_make_idle_is_refused(values: dict[str, Any], words: str) -> None:
    said = refused(values)
    assert said is not None
    assert words in said


def test_options_that_others_wake_are_taken() -> None:
    for values in (
        {"domain": "colony", "team_reward": "sum", "credit": 0.5},
        {"domain": "colony", "team_reward": "sum", "global_parts": "reward"},
        {"domain": "colony", "schedule": "lockstep", "lag": 0},
    ):
        assert refused(values) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evaluate nowhere --policy random --greedy", "--greedy is for --policy learned"),
        ("evaluate nowhere --policy random --step 8", "--step is for --policy learned"),
        ("watch nowhere --policy random --greedy", "--greedy is for --policy learned"),
        ("train --resume nowhere --out x", "--out is for a new run"),
        ("train --resume nowhere --config x", "--config is for a new run"),
        ("train corridor --address here:1", "--address is a part of --runtime ray"),
    ],
)
def test_an_option_of_a_command_is_not_ignored(empty_folder: Path, words: str, said: str) -> None:
    status, heard = said_by(words.split())
    assert status == 2
    assert said in heard
    assert not list(empty_folder.iterdir())


def test_a_run_starts_again_from_the_configuration_that_it_wrote() -> None:
    """config.toml holds every value; none of those counts as given that were not."""
    names = known_domains()
    runs = [{"domain": name, "preset": preset} for name in names for preset in ("fast", "paper")]
    runs += list(KINDS.values())
    runs.append({"domain": "traffic", "local": "sumo"})
    runs.append({"domain": "traffic", "simulation": "global"})
    for values in runs:
        config = make_config(values)
        written = config.model_dump(exclude_none=True)
        assert make_config(written) == config
        assert ignored(config) == {}, values
        decided = {*values, "agents", "simulation", "copies", "windows"}  # by one of the others
        assert set(given(config)) <= decided


def test_a_study_leaves_out_of_its_base_what_a_variant_does_not_read(tmp_path: Path) -> None:
    head = 'name = "s"\nseeds = [0]\n[base]\ndomain = "corridor"\npredictor_epochs = 2\n'
    path = tmp_path / "s.toml"
    path.write_text(head + '[variants.a]\n[variants.b]\nsimulation = "global"\n')
    study = read_study(path, path.read_bytes())
    own = {"domain": "corridor", "seed": 0}
    assert values_of(study, "a", 0) == {**own, "predictor_epochs": 2}
    assert values_of(study, "b", 0) == {**own, "simulation": "global"}
    path.write_text(head + '[variants.b]\nsimulation = "global"\n')
    with pytest.raises(UserError, match=r"predictor_epochs of \[base\] is read by none"):
        read_study(path, path.read_bytes())
    path.write_text(
        head + '[variants.a]\n[variants.b]\nsimulation = "global"\npredictor_rate = 1\n'
    )
    with pytest.raises(
        UserError, match=r"variant 'b', seed 0: predictor_rate: is for --simulation"
    ):
        read_study(path, path.read_bytes())


# ----------------------------------------------------------------------- what a run will take

GB = 1e9
MEASURED: list[tuple[dict[str, Any], float, float]] = [
    # (settings, peaks that README and docs quote in GB: lowest and highest)
    ({"domain": "warehouse", "agents": 4}, 0.75, 1.5),
    ({"domain": "warehouse", "agents": 100}, 2.5, 2.5),
    ({"domain": "warehouse", "agents": 400, "steps": 20_000, "refreshes": 1}, 5.9, 5.9),
    ({"domain": "traffic", "agents": 4}, 1.5, 1.5),
    ({"domain": "traffic", "agents": 100}, 1.7, 1.7),
    ({"domain": "traffic", "agents": 4, "simulation": "global"}, 1.1, 1.1),
    ({"domain": "traffic", "agents": 100, "simulation": "global"}, 1.3, 1.3),
    ({"domain": "lux", "map": 16}, 1.4, 1.6),
]


@pytest.mark.parametrize(("values", "low", "high"), MEASURED)
def test_known_runs_take_half_to_twice_the_estimate(
    values: dict[str, Any], low: float, high: float
) -> None:
    config = make_config(values)
    domain = load_domain(config.domain, config.agents, config.domain_options)
    parts = estimate.Estimate(config, domain, LocalRuntime(2)).memory()
    size = sum(part.size for part in parts)
    assert high * GB / 2 < size < low * GB * 2, [part[:2] for part in parts]
    assert estimate.check_memory(parts, (8 * GB, 8 * GB)) == []


TOO_LARGE = [
    ({"hidden": 65_536}, "networks and optimisers", "--agents or --hidden"),
    ({"predictor_hidden": 65_536, "agents": 1_000}, "predictors", "--agents or --predictor-hidden"),
    ({"agents": MILLION}, "networks and optimisers", "--agents"),
    ({"copies": MILLION, "windows": 1_000}, "experience of an update", "--copies or --windows"),
    ({"windows": 100_000, "window": 1_000}, "experience of an update", "--windows"),
    ({"schedule": "pipeline", "simulation": "global", "workers": 1_000, "copies": MILLION,
      "hidden": 1_000}, "simulator copies", "--copies or --actors or --workers"),
    ({"domain": "combat", "agents": 10, "copies": MILLION, "window": 1_000}, "experience",
     "--copies"),
    ({"domain": "traffic", "agents": 4, "simulation": "global", "copies": MILLION,
      "minibatches": 1, "windows": 1, "window": 1}, "processes", "--copies"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "part", "cure"), TOO_LARGE)
def test_what_cannot_fit_is_refused_before_it_begins(
    values: dict[str, Any], part: str, cure: str
) -> None:
    config = make_config({"domain": "corridor", **values})
    domain = load_domain(config.domain, config.agents, config.domain_options)
    with pytest.raises(UserError) as caught:
        estimate.check_memory(
            estimate.Estimate(config, domain, LocalRuntime(2)).memory(), (24 * GB, 20 * GB)
        )
    said = str(caught.value)
    assert re.match(r"this would take about [\d,]+ GB \(", said), said
    assert part in said
    assert "and this machine has 24 GB: lower --" in said
    assert cure in said


def test_the_command_refuses_it_and_writes_nothing(empty_folder: Path) -> None:
    config = make_config({"domain": "corridor", "agents": MILLION, "hidden": 2_048})
    with pytest.raises(UserError, match=r"and this machine has .* GB: lower --agents or --hidden"):
        check_resources(config, load_domain("corridor", MILLION), LocalRuntime(1))
    assert not list(empty_folder.iterdir())


def test_what_nearly_fills_the_machine_is_noted_and_long_stretches_are_too() -> None:
    parts = [estimate.Part("networks", 9 * GB, ("agents",)), estimate.Part("JAX", GB, ())]
    assert estimate.check_memory(parts, (100 * GB, 50 * GB)) == []
    (note,) = estimate.check_memory(parts, (16 * GB, 11 * GB))
    assert note == ("this may take about 10 GB (networks 9.0 GB, JAX 1.0 GB), and this machine has "
                    "11 GB free: if that is too little, lower --agents")  # fmt: skip
    many = make_config({"domain": "corridor", "evaluate_episodes": MILLION})
    (note,) = check_resources(many, load_domain("corridor", 4), LocalRuntime(1))
    assert re.fullmatch(
        r"each evaluation may take about [\d,]+ min; a lower --evaluate-episodes would shorten it",
        note,
    )
    usual = make_config({"domain": "corridor"})
    assert check_resources(usual, load_domain("corridor", 4), LocalRuntime(1)) == []


def test_an_evaluation_in_groups_gives_the_figures_of_one_piece() -> None:
    domain, runtime = load_domain("corridor", 2), LocalRuntime(2)
    key = partial(stream, 1, "evaluate/scripted", 0)
    function = partial(evaluate._block, domain=domain, names=("random",), copies=32,
                       with_influence=False, with_states=False)  # fmt: skip
    whole = runtime.map(function, [(key(block), 0, False, None) for block in range(19)])
    rewards = [np.asarray(block.reward).sum(0) for block in whole]
    each = np.concatenate(rewards)[:600].astype(np.float64).mean(1)
    told: list[int] = []
    found = evaluate_scripted(runtime, domain, "random", episodes=600, seed=1, told=told.append)
    assert found["return_mean"] == each.mean()
    assert found["return_std"] == each.std(ddof=1)
    assert told == [32] * 19  # of which eight blocks lie in memory at a time
    assert [len(blocks) for blocks in runtime.in_groups(range(19))] == [8, 8, 3]
