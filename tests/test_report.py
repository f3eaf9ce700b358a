"""Statistics by hand, and pages that are whole, honest about gaps, and need no network."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hinterland.core import UserError
from hinterland.record import RunFolder
from hinterland.report import paper, write_report
from hinterland.report.statistics import (
    bootstrap_interval,
    interquartile_mean,
    intervals_overlap,
    mean_interval,
)


def test_the_mean_interval_of_five_numbers() -> None:
    # 1..5: mean 3, standard deviation sqrt(2.5), t(0.975, 4) = 2.776445.
    mean, half = mean_interval(np.array([1.0, 2, 3, 4, 5]))
    assert mean == 3
    assert half == pytest.approx(2.776445 * (2.5 / 5) ** 0.5, rel=1e-6)
    assert np.isnan(mean_interval(np.array([1.0]))[1])


def test_the_interquartile_mean_of_eight_and_of_five_numbers() -> None:
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == pytest.approx(3.5)
    # Of five, the middle one counts whole, its neighbours by three quarters: (1.5+3+3)/2.5.
    assert interquartile_mean(np.array([1.0, 2, 3, 4, 9])) == pytest.approx(7.5 / 2.5)


def test_the_bootstrap_interval_holds_the_estimate_and_repeats() -> None:
    values = np.random.default_rng(0).normal(10, 1, 20)
    low, high = bootstrap_interval(values)
    assert low < interquartile_mean(values) < high
    assert (low, high) == bootstrap_interval(values)


def test_whether_intervals_overlap() -> None:
    near, far = np.array([1.0, 1.1, 0.9]), np.array([5.0, 5.1, 4.9])
    assert not intervals_overlap(near, far)
    assert intervals_overlap(near, near + 0.1)
    assert intervals_overlap(np.array([1.0]), far)  # one seed proves nothing


def test_the_papers_curve_of_four_robots_ends_where_it_should() -> None:
    x, y = paper.curve("warehouse", 4, "dials")
    assert (x[0], x[-1]) == (0, 4_000_000)
    assert y[-1] == pytest.approx(13.27, abs=0.02)
    assert paper.curve("corridor", 4, "dials") is None


def _run(folder: Path, simulation: str, seed: int, level: float, finished: bool = True) -> Path:
    config = {"domain": "warehouse", "agents": 4, "simulation": simulation, "seed": seed,
              "evaluate_episodes": 8, "final_episodes": 16, "steps": 200_000}  # fmt: skip
    run = RunFolder.create(folder, config, {"command": ["<script>alert(1)</script>"]})
    for step in (0, 100_000, 200_000):
        run.log(step, step / 1e3, "evaluate", {"eval/sampled/return": level * step / 2e5,
                                               "memory/peak_mb": 500.0})  # fmt: skip
        if simulation == "dials":
            values = {"before": 0.6, "after": 0.4, "marginal": 0.5}
            named = {f"influence/cross_entropy/{name}": x for name, x in values.items()}
            run.log(step, step / 1e3, "fit", named)
    if finished:
        figures = {"return_mean": level, "return_std": 1.0, "return_ci95": 0.1, "episodes": 16}
        names = ("learned", "learned_greedy", "random", "heuristic")
        times = {f"{name}_s": 10.0 for name in ("collect", "fit", "train", "evaluate", "compile")}
        run.write_summary({"step": 200_000, "agents": 4, "wall_s": 200.0, "time": times,
                           "agent_steps_per_s": 9000.0, "memory": {"peak_mb": 500.0},
                           "eval": dict.fromkeys(names, figures), "finished": True})  # fmt: skip
    run.close()
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.toml").write_text(
        'name = "s"\ntitle = "A study"\n[variants.dials]\n[variants.untrained]\n'
    )
    for variant, level in (("untrained", 4.0), ("dials", 13.0)):
        for seed in range(3):
            path = tmp_path / "runs" / variant / f"seed-{seed}"
            _run(path, variant, seed, level + seed / 10, finished=(variant, seed) != ("dials", 2))
    return tmp_path


def test_a_study_becomes_one_page_without_network(study: Path) -> None:
    page = write_report([study], study / "report.html").read_text()
    outside = re.findall(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(["']?http""", page)
    assert outside == []
    assert page.count("<svg") == 4
    assert "<title>A study</title>" in page
    assert "Not finished: dials seed 2" in page
    assert "do not overlap" in page
    assert "<script>alert" not in page
    # The study's own order, not the alphabet's; n counts the finished seeds.
    assert page.index("dials <b>13.05") < page.index("untrained <b>4.10")
    for name in ("learning", "learning-by-time", "cross-entropy", "runtime"):
        for kind in ("svg", "png", "csv"):
            assert (study / "figures" / f"{name}.{kind}").stat().st_size > 0


def test_a_run_that_was_interrupted_at_once_has_a_page_too(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"domain": "warehouse", "agents": 4, "seed": 0,
                           "simulation": "dials", "evaluate_episodes": 8, "final_episodes": 16,
                           "steps": 10}, {})  # fmt: skip
    run.close()
    page = write_report([tmp_path / "run"], tmp_path / "report.html").read_text()
    assert "No run has finished yet" in page


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a run folder nor a study folder"):
        write_report([tmp_path / "nothing"], tmp_path / "r.html")
    (tmp_path / "study.toml").write_text('name = "s"\n')
    with pytest.raises(UserError, match="has no runs yet"):
        write_report([tmp_path], tmp_path / "r.html")
    run = _run(tmp_path / "run", "dials", 0, 1.0)
    (run / "replay.json").write_text("{")
    with pytest.raises(UserError, match=r"replay\.json is damaged"):
        write_report([run], tmp_path / "r.html")
    (run / "summary.json").write_text(json.dumps({})[:1])
    with pytest.raises(UserError, match=r"summary\.json is damaged"):
        write_report([run], tmp_path / "r.html")
