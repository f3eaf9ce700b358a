"""Where the agents of DIALS meet (Suau et al. 2022, Algorithm 1): predictors and evaluation.

Between two meetings learners train in local simulators, each by itself (`apart`) or together
(`loop`); here the predictors are trained anew, on what the policies do in the global simulator.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from hinterland.core import InfluenceBatch, regions_of, stream
from hinterland.influence import FitSettings, as_batches, diagnose, fit
from hinterland.influence.fit import split
from hinterland.learn import Learner
from hinterland.runtime import over_block
from hinterland.training.evaluate import evaluate, network_episodes
from hinterland.training.experiment import Experiment
from hinterland.training.plan import Plan


def meet(
    experiment: Experiment,
    plan: Plan,
    learners: Learner,
    predictors: Any,
    updates: int,
    trained: Callable[[Experiment, Any, InfluenceBatch, int], Any] | None = None,
) -> Any:
    """What is due after so many updates; the predictors, trained anew where that is due.

    With `untrained` simulation they keep their random initial weights. `trained` is what becomes of
    them on fresh datasets: `refresh`, if nothing is said.
    """
    if experiment.refreshes(updates):
        datasets = collect(experiment, plan, learners, updates)
        predictors = (trained or refresh)(experiment, predictors, datasets, updates)
    if experiment.evaluates(updates):
        evaluate(experiment, plan.policy(learners.network), updates)
    return predictors


def collect(experiment: Experiment, plan: Plan, learners: Learner, updates: int) -> InfluenceBatch:
    """Fresh (d-set, influence) datasets of all agents from the global simulator (Algorithm 2)."""
    config, domain = experiment.config, experiment.domain
    episodes = config.predictor_episodes
    with experiment.phase("collect", episodes):
        blocks = network_episodes(
            experiment.runtime,
            domain,
            plan.policy(learners.network),
            episodes=episodes,
            greedy=False,
            place=(config.seed, "collect", updates),
            told=experiment.progress.advance,
            with_influence=True,
        )
        batches = as_batches(list(blocks), domain.spec)
        datasets = jax.tree.map(lambda *x: np.stack(x), *batches)
    experiment.log(updates, "collect", {})
    return jax.tree.map(lambda x: x[:, :episodes], datasets)


@partial(jax.jit, static_argnames="settings")
def fit_block(block, seed, updates, settings):  # type: ignore[no-untyped-def]
    """(predictors, figures) of a block of (region, predictor, dataset)."""

    def one(region, predictor, dataset, seed, updates):  # type: ignore[no-untyped-def]
        return fit(stream(seed, "fit", region, updates), predictor, dataset, settings)

    return over_block(one, shared_arguments=2)(block, seed, updates)


def refresh(experiment: Experiment, predictors: Any, datasets: InfluenceBatch, updates: int) -> Any:
    """Predictors trained on fresh data; cross-entropy on held-out episodes before and after."""
    config, regions = experiment.config, len(regions_of(experiment.domain))
    with experiment.phase("fit", regions):
        predictors, figures = experiment.runtime.map_agents(
            partial(fit_block, settings=fit_settings(experiment)),
            (np.arange(regions, dtype=np.int32), predictors, datasets),
            (config.seed, updates),
            experiment.progress.advance,
        )
    log_fit(experiment, figures, updates)
    return predictors


def fit_settings(experiment: Experiment) -> FitSettings:
    """The predictors' part of the configuration."""
    config = experiment.config
    return FitSettings(config.predictor_epochs, config.predictor_batch, config.predictor_rate)


def log_fit(experiment: Experiment, figures: dict[str, np.ndarray], updates: int) -> None:
    """A line of metrics out of every region's figures."""
    values = {
        "influence/cross_entropy/before": figures["before"].mean(),
        "influence/cross_entropy/after": figures["cross_entropy"].mean(),
        "influence/cross_entropy/marginal": figures["marginal"].mean(),
        "influence/calibration/after": figures["calibration"].mean(),
    }
    for head, value in enumerate(figures["heads"].mean(0)):
        values[f"influence/cross_entropy/after/head/{head}"] = value
    experiment.log(updates, "fit", values)


@jax.jit
def _diagnose(block):  # type: ignore[no-untyped-def]
    def one(predictor, dataset):  # type: ignore[no-untyped-def]
        return diagnose(predictor, *split(dataset))

    return over_block(one)(block)


def measure_drift(experiment: Experiment, plan: Plan, learners: Learner, predictors: Any) -> None:
    """At the end: cross-entropy of the predictors as they stand on what the policies do now."""
    if experiment.config.simulation != "dials":
        return
    updates = experiment.total_updates
    datasets = collect(experiment, plan, learners, updates)
    with experiment.phase("fit", len(plan.regions)):
        figures = experiment.runtime.map_agents(_diagnose, (predictors, datasets))
    values = {
        "influence/cross_entropy/end": figures["cross_entropy"].mean(),
        "influence/cross_entropy/marginal": figures["marginal"].mean(),
    }
    experiment.log(updates, "fit", values)
