"""Where the agents of DIALS meet (Suau et al. 2022, Algorithm 1): predictors and evaluation.

Between two meetings learners train in local simulators, each by itself (`apart`) or together
(`loop`); here the predictors are trained anew, on what the policies do in the global simulator.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import InfluenceBatch, stream
from hinterland.influence import FitSettings, as_batches, diagnose, fit
from hinterland.influence.fit import split
from hinterland.runtime import over_block
from hinterland.training.evaluate import evaluate, network_episodes
from hinterland.training.experiment import Experiment
from hinterland.training.plan import Plan, State

Figures = tuple[dict[str, np.ndarray], ...]
"""Of each kind of regions, stacked."""


def meet(experiment: Experiment, plan: Plan, state: State, updates: int) -> State:
    """What is due after so many updates: predictors are trained anew, policies are evaluated.

    With `untrained` simulation predictors keep their random initial weights.
    """
    if experiment.refreshes(updates):
        state = state._replace(datasets=collect(experiment, plan, state.learners, updates))
        if not (plan.apart and experiment.runtime.units_travel):  # else where the policies are
            state = refresh(experiment, plan, state, updates)
    if experiment.evaluates(updates):
        evaluate(experiment, plan.policy(state.learners), updates)
    return state


def collect(
    experiment: Experiment, plan: Plan, learners: Any, updates: int
) -> tuple[InfluenceBatch, ...]:
    """Fresh (d-set, influence) datasets of all regions from the global simulator (Algorithm 2)."""
    config, domain = experiment.config, experiment.domain
    episodes = config.predictor_episodes
    with experiment.phase("collect", episodes):
        played = list(network_episodes(
            experiment.runtime, domain, plan.policy(learners), episodes=episodes, greedy=False,
            place=(config.seed, "collect", updates), told=experiment.progress.advance,
            with_influence=True,
        ))  # fmt: skip
        datasets = []
        for number, kind in enumerate(plan.kinds):
            batches = as_batches(played, kind.spec, number, plan.numbers(number)[0])
            datasets.append(jax.tree.map(lambda *x: np.stack(x), *batches))
    experiment.log(updates, "collect", {})
    return jax.tree.map(lambda x: x[:, :episodes], tuple(datasets))


@partial(jax.jit, static_argnames="settings")
@partial(over_block, shared_arguments=2)
def fit_block(region, predictor, dataset, seed, updates, *, settings):  # type: ignore[no-untyped-def]
    """(predictors, figures) of a block of (region, predictor, dataset)."""
    return fit(stream(seed, "fit", region, updates), predictor, dataset, settings)


def fitting(config: Config) -> Any:
    """`fit_block` by the predictors' part of the configuration."""
    parts = (config.predictor_epochs, config.predictor_batch, config.predictor_rate)
    return partial(fit_block, settings=FitSettings(*parts))


def refresh(experiment: Experiment, plan: Plan, state: State, updates: int) -> State:
    """Predictors trained on fresh data; cross-entropy on held-out episodes before and after."""
    runtime, config, told = experiment.runtime, experiment.config, experiment.progress.advance
    numbers = [np.array(plan.numbers(kind), np.int32) for kind in range(len(plan.kinds))]
    with experiment.phase("fit", len(plan.regions)):
        found = [
            runtime.map_agents(fitting(config), block, (config.seed, updates), told)
            for block in zip(numbers, state.predictors, state.datasets or (), strict=True)
        ]
    fitted, figures = zip(*found, strict=True)
    log_fit(experiment, figures, updates)
    return state._replace(predictors=fitted, datasets=None)


def log_fit(experiment: Experiment, figures: Figures, updates: int) -> None:
    """A line of metrics out of every region's figures; of a head, of the regions that have it."""
    values = {
        "influence/cross_entropy/before": _mean(figures, "before"),
        "influence/cross_entropy/after": _mean(figures, "cross_entropy"),
        "influence/cross_entropy/marginal": _mean(figures, "marginal"),
        "influence/calibration/after": _mean(figures, "calibration"),
    }
    for head in range(max(one["heads"].shape[1] for one in figures)):
        having = [one["heads"][:, head] for one in figures if one["heads"].shape[1] > head]
        values[f"influence/cross_entropy/after/head/{head}"] = np.concatenate(having).mean()
    experiment.log(updates, "fit", values)


def _mean(figures: Figures, name: str) -> np.floating:
    """Over all regions."""
    return np.concatenate([one[name] for one in figures]).mean()


@jax.jit
@over_block
def _diagnose(predictor, dataset):  # type: ignore[no-untyped-def]
    return diagnose(predictor, *split(dataset))


def measure_drift(experiment: Experiment, plan: Plan, state: State) -> None:
    """At the end: cross-entropy of the predictors as they stand on what the policies do now."""
    if experiment.config.simulation != "dials":
        return
    updates = experiment.config.total_updates
    datasets = collect(experiment, plan, state.learners, updates)
    with experiment.phase("fit", len(plan.regions)):
        pairs = zip(state.predictors, datasets, strict=True)
        figures = tuple(experiment.runtime.map_agents(_diagnose, pair) for pair in pairs)
    values = {
        "influence/cross_entropy/end": _mean(figures, "cross_entropy"),
        "influence/cross_entropy/marginal": _mean(figures, "marginal"),
    }
    experiment.log(updates, "fit", values)
