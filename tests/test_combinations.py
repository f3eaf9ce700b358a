"""What combines: every cell of simulation x schedule x kind of system x credit x networks.

Each cell that means anything trains for two updates on a tiny system and is evaluated; the others
are refused in one sentence. `python -m tests.test_combinations` prints the README's table.
"""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hinterland.config import Config, make_config
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, Lines, check_config, check_resources, trained

SIMULATIONS = ("global", "dials", "untrained")
SCHEDULES = ("fused", "lockstep", "pipeline")
CREDITS: dict[str, dict[str, Any]] = {
    "own": {},
    "shared": {"credit": "team"},
    "mixed": {"credit": 0.5},
}
SHARING = ("shared", "own", "role")
MEMORY = ("gru", "feed-forward")
SYSTEMS = {
    "agents, traced": ("tests.environments.pairs:make", 4),
    "agents, on hosts": ("tests.environments.pairs:make_hosted", 4),
    "entities, traced": ("tests.environments.rings:make", 8),
    "entities, on hosts": ("tests.environments.rings:make_hosted", 8),
    "games of sides": ("tests.environments.duel:make", 2),
}
WITHOUT_REGIONS = "games of sides"
TINY: dict[str, Any] = {
    "copies": 4, "window": 4, "windows": 2, "minibatches": 2, "epochs": 1, "hidden": 4, "trunk": 4,
    "predictor_hidden": 4, "predictor_episodes": 2, "predictor_batch": 2, "predictor_epochs": 1,
    "predictor": "feed-forward", "evaluate_episodes": 2, "final_episodes": 2, "evaluations": 1,
}  # fmt: skip


@cache
def system(kind: str) -> Any:
    name, agents = SYSTEMS[kind]
    return load_domain(name, agents)


@cache
def runtime() -> LocalRuntime:
    return LocalRuntime()


def config_of(
    kind: str, simulation: str, schedule: str, credit: str, sharing: str, memory: str
) -> Config:
    name, agents = SYSTEMS[kind]
    values = {
        **TINY, "domain": name, "agents": agents, "simulation": simulation, "schedule": schedule,
        "slot_networks": sharing, "network": memory, **CREDITS[credit],
    }  # fmt: skip
    if simulation == "dials":
        values["refreshes"] = 1
    else:
        for option in ("predictor_episodes", "predictor_batch", "predictor_epochs"):
            del values[option]
    config = make_config(values)
    return config.model_copy(update={"steps": 2 * config.steps_per_update})


def means_something(kind: str, simulation: str) -> bool:
    return simulation == "global" or kind != WITHOUT_REGIONS


CASES = [
    case
    for case in itertools.product(SYSTEMS, SIMULATIONS, CREDITS)
    if means_something(case[0], case[1])
]
NETWORKS = list(itertools.product(SHARING, MEMORY))
CELLS = [
    (kind, simulation, schedule, credit, *NETWORKS[(2 * number + number // 2) % len(NETWORKS)])
    for number, (kind, simulation, credit) in enumerate(CASES)
    for schedule in SCHEDULES
]
"""Every pair of choices occurs; schedules of a case share its networks, and so their programs."""


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_cell_trains_and_is_evaluated(cell: tuple[str, ...]) -> None:
    kind, *choices = cell
    config, told = config_of(kind, *choices), Lines()
    assert check_resources(config, system(kind), runtime()) == []
    experiment = Experiment(config, system(kind), runtime(), progress=told)
    plan, state = trained(experiment)
    every = state.learners if plan.apart else [state.learners]
    assert [x for one in every for x in one.updates.tolist()] == [2] * plan.learners
    evaluated = [line for line in told.lines if "eval/sampled/return" in line]
    assert len(evaluated) == 2  # at the beginning, and at the end
    learned = [line for line in told.lines if "train/loss/policy" in line]
    assert learned
    assert all(line["train/steps_per_s"] > 0 for line in learned)
    fitted = any("influence/cross_entropy/after" in line for line in told.lines)
    assert fitted == (config.simulation == "dials")


def test_all_pairs_of_choices_are_tried() -> None:
    every: list[Any] = [SYSTEMS, SIMULATIONS, SCHEDULES, CREDITS, SHARING, MEMORY]
    for (i, first), (j, second) in itertools.combinations(enumerate(every), 2):
        pairs = {(cell[i], cell[j]) for cell in CELLS}
        wanted = set(itertools.product(first, second))
        if {i, j} == {0, 1}:
            wanted = {pair for pair in wanted if means_something(*pair)}
        assert pairs == wanted, (first, second)


@pytest.mark.parametrize("simulation", ["dials", "untrained"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_games_have_no_regions(simulation: str, schedule: str) -> None:
    config = config_of(WITHOUT_REGIONS, simulation, schedule, "own", "shared", "gru")
    with pytest.raises(UserError, match="a game of sides, which has no regions"):
        check_config(config, system(WITHOUT_REGIONS))


def test_credit_needs_somebody_to_share_with() -> None:
    config = make_config({"domain": "corridor", "credit": "team"})
    with pytest.raises(UserError, match="hold one agent each"):
        check_config(config, load_domain("corridor", 4))


def table() -> str:
    """The README's: which choices combine in which kind of system."""
    lines = ["| system | simulation | schedule | credit | networks |", "|---|---|---|---|---|"]
    for kind in SYSTEMS:
        simulations = [x for x in SIMULATIONS if means_something(kind, x)]
        cells = (kind, simulations, SCHEDULES, CREDITS, (*SHARING, "with memory or without"))
        lines.append("| " + " | ".join(
            cell if isinstance(cell, str) else ", ".join(cell) for cell in cells
        ) + " |")  # fmt: skip
    return "\n".join(lines)


def test_the_readme_has_the_table() -> None:
    assert table() in (Path(__file__).parents[1] / "README.md").read_text()


if __name__ == "__main__":
    print(table())
