"""Whole runs on tiny sizes: the same bits on any layout, and DIALS beats an untrained predictor."""

import json
from pathlib import Path

import numpy as np
import pytest

import runs
from hinterland.config import Config, make_config
from hinterland.core import UserError
from hinterland.domains import load_domain
from hinterland.record import RunFolder
from hinterland.runtime import LocalRuntime
from hinterland.training import Experiment, train
from hinterland.training.experiment import from_arrays, to_arrays

TINY = {
    "domain": "warehouse",
    "agents": 4,
    "steps": 256,
    "hidden": 16,
    "trunk": 8,
    "copies": 4,
    "window": 8,
    "predictor_hidden": 8,
    "predictor_episodes": 20,
    "predictor_epochs": 2,
    "refresh": 128,
    "evaluate_every": 128,
    "evaluate_episodes": 4,
    "final_episodes": 4,
}


def _config(**changes: object) -> Config:
    return make_config({**TINY, **changes})


def _final_arrays(folder: Path, config: Config, runtime: LocalRuntime) -> dict[str, np.ndarray]:
    return runs.run(folder, config, runs.domain_of(config), runtime).load_checkpoint()[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"simulation": "dials"},
        {"simulation": "untrained", "network": "feed-forward", "predictor": "feed-forward"},
        {"simulation": "global", "copies": 40, "window": 4},
        {"simulation": "global", "shared_policy": True},
    ],
    ids=["dials", "untrained", "global", "global-shared"],
)
def test_one_and_two_devices_give_the_same_bits(tmp_path: Path, changes: dict) -> None:
    config = _config(**changes)
    one = _final_arrays(tmp_path / "one", config, LocalRuntime(devices=1))
    two = _final_arrays(tmp_path / "two", config, LocalRuntime(devices=2))
    runs.assert_same(one, two)


def test_another_seed_gives_another_run_and_agents_differ(tmp_path: Path) -> None:
    first = _final_arrays(tmp_path / "a", _config(), LocalRuntime(devices=1))
    other = _final_arrays(tmp_path / "b", _config(seed=1), LocalRuntime(devices=1))
    name = ".learners[0].network.actors.actor.weight"
    assert not np.array_equal(first[name], other[name])
    assert len(np.unique(first[name].reshape(4, -1), axis=0)) == 4


def test_the_metrics_say_what_happened_when(tmp_path: Path) -> None:
    config = _config()
    _final_arrays(tmp_path / "run", config, LocalRuntime(devices=1))
    folder = RunFolder.read(tmp_path / "run")
    lines = folder.metrics()
    fits = [line["step"] for line in lines if "influence/cross_entropy/after" in line]
    evaluations = [line["step"] for line in lines if "eval/sampled/return" in line]
    assert fits == [0, 128]
    assert evaluations == [0, 128, 256]
    assert all("influence/cross_entropy/before" in x for x in lines if x["step"] in fits
               and "influence/cross_entropy/after" in x)  # fmt: skip
    summary = folder.summary()
    assert summary is not None
    assert summary["finished"]
    assert summary["step"] == 256
    assert set(summary["eval"]) == {"learned", "learned_greedy", "random", "heuristic"}
    for phase in ("collect", "fit", "train", "evaluate"):
        for clock in (f"{phase}_s", f"{phase}_cpu_s"):
            logged = [line[f"time/{clock}"] for line in lines if f"time/{clock}" in line]
            assert 0 < logged[0] <= logged[-1] <= summary["time"][clock]


def test_a_step_budget_that_no_update_divides_is_rounded_up(tmp_path: Path) -> None:
    _final_arrays(tmp_path / "run", _config(steps=250, refresh=100), LocalRuntime(devices=1))
    summary = RunFolder.read(tmp_path / "run").summary()
    assert summary is not None
    assert summary["step"] == 256


def test_what_is_due_when() -> None:
    config = _config(steps=1000, refresh=100, evaluate_every=300)  # 32 steps per update
    experiment = Experiment(config, load_domain("corridor", 2), LocalRuntime(devices=1))
    stops, updates = [], 0
    while updates < experiment.config.total_updates:
        updates = experiment.next_stop(updates)
        stops.append(updates)
    # 100, 200, 300, ... steps are first reached after 4, 7, 10, ... updates.
    assert [u for u in range(33) if experiment.due(u, 100)] == [
        -(-s // 32) for s in range(0, 1025, 100)
    ]
    assert set(stops) >= {u for u in range(1, 33) if experiment.due(u, 100)}
    assert stops[-1] == 32


def test_recurrent_windows_of_several_per_update_run(tmp_path: Path) -> None:
    config = _config(copies=1, window=8, windows=4, minibatches=2, steps=64, refresh=64)
    arrays = _final_arrays(tmp_path / "run", config, LocalRuntime(devices=1))
    assert int(arrays[".learners[0].updates"][0]) == 2


def test_blocks_of_agents_learn_the_same_up_to_rounding(tmp_path: Path) -> None:
    """Accelerators train blocks of agents under one batch axis; only last bits may differ."""
    config = _config(steps=32, refresh=64)
    one = _final_arrays(tmp_path / "one", config, LocalRuntime(devices=1, block=1))
    all_ = _final_arrays(tmp_path / "all", config, LocalRuntime(devices=1, block=4))
    for name in one:
        if name.startswith(".learners[0].network"):
            np.testing.assert_allclose(one[name], all_[name], rtol=1e-3, atol=2e-4, err_msg=name)


def test_arrays_of_another_network_are_refused() -> None:
    arrays = to_arrays({"a": np.zeros(3), "b": np.zeros(2)})
    with pytest.raises(UserError, match="does not fit this run's configuration"):
        from_arrays(arrays, {"a": np.zeros(3)})
    with pytest.raises(UserError, match=r"float64\[2\], expected float64\[4\]"):
        from_arrays(arrays, {"a": np.zeros(3), "b": np.zeros(4)})


def test_learning_in_the_corridor(tmp_path: Path) -> None:
    """Random earns 6.0, pushing whenever possible is best; asked 94 % of it after 20k steps."""
    config = make_config(
        {
            "domain": "corridor",
            "agents": 3,
            "steps": 20_000,
            "network": "feed-forward",
            "hidden": 16,
            "trunk": 16,
            "copies": 32,
            "window": 8,
            "refresh": 10_000,
            "evaluate_every": 20_000,
            "learning_rate": 1e-2,
            "predictor_hidden": 8,
        }
    )
    domain = load_domain("corridor", 3)
    summary = train(Experiment(config, domain, LocalRuntime(devices=1)), None)
    returns = {name: figures["return_mean"] for name, figures in summary["eval"].items()}
    assert returns["random"] < 0.75 * returns["heuristic"], json.dumps(returns)
    assert returns["learned_greedy"] > 0.94 * returns["heuristic"], json.dumps(returns)
