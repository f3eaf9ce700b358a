"""Distributed influence-augmented local simulators (Suau et al. 2022, Algorithm 1)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, InfluenceBatch, is_host, stream
from hinterland.influence import FitSettings, as_batches, diagnose, fit
from hinterland.influence.fit import split
from hinterland.learn import Learner
from hinterland.rollout import LocalCopies
from hinterland.runtime import over_block
from hinterland.training import initial
from hinterland.training.evaluate import blocks_of, evaluate, network_episodes
from hinterland.training.experiment import Experiment, ppo_settings
from hinterland.training.local_learning import make_host_local_learning, make_local_learning


class DialsState(NamedTuple):
    """Everything between two meetings of the agents, stacked on the agent axis."""

    learners: Learner
    predictors: Any
    copies: LocalCopies | np.ndarray


def start(experiment: Experiment) -> DialsState:
    """Untrained networks and predictors, simulators at their beginning."""
    return _first(experiment.config, experiment.domain, initial.stacked)


def shapes(config: Config, domain: Domain) -> DialsState:
    """Shapes and types of `start`."""
    return _first(config, domain, initial.stacked_shapes)


def _first(config: Config, domain: Domain, stack: Any) -> DialsState:
    settings = ppo_settings(config)
    return DialsState(
        stack(lambda i: initial.learner(config, domain, settings, i), domain.agents),
        stack(lambda i: initial.predictor(config, domain, i), domain.agents),
        initial.local_copies(config, domain, stack),
    )


def train(experiment: Experiment, state: DialsState, updates: int) -> DialsState:
    """Algorithm 1 from `updates` to the end of the run.

    With `untrained` simulation the predictors keep their random initial weights. Where units
    travel, a shard trains its predictors and then its policies, with one message each way.
    """
    waiting: InfluenceBatch | None = None

    def meet(state: DialsState, updates: int) -> DialsState:
        nonlocal waiting
        if experiment.refreshes(updates):
            datasets = collect(experiment, state, updates)
            if experiment.runtime.units_travel:
                waiting = datasets
            else:
                predictors = refresh(experiment, state.predictors, datasets, updates)
                state = state._replace(predictors=predictors)
        if experiment.evaluates(updates):
            evaluate(experiment, state.learners.network, updates)
        return state

    def learn(state: DialsState, updates: int, stop: int) -> DialsState:
        nonlocal waiting
        datasets, waiting = waiting, None
        return learn_locally(experiment, state, updates, stop, datasets)

    state = experiment.in_stretches(state, updates, meet, learn)
    if experiment.config.simulation == "dials":
        _measure_drift(experiment, state, experiment.total_updates)
    return state


def collect(experiment: Experiment, state: DialsState, updates: int) -> InfluenceBatch:
    """Fresh (d-set, influence) datasets of all agents from the global simulator (Algorithm 2)."""
    config, domain = experiment.config, experiment.domain
    with experiment.phase("collect", len(blocks_of(domain, config.predictor_episodes))):
        blocks = network_episodes(
            experiment.runtime,
            domain,
            state.learners.network,
            episodes=config.predictor_episodes,
            greedy=False,
            seed=config.seed,
            purpose="collect",
            place=updates,
            finished=lambda _: experiment.progress.advance(1),
        )
        batches = as_batches(blocks, domain.spec)
        datasets = jax.tree.map(lambda *x: np.stack(x), *batches)
    experiment.log(updates, "collect", {})
    return jax.tree.map(lambda x: x[:, : config.predictor_episodes], datasets)


@partial(jax.jit, static_argnames="settings")
def _fit(block, seed, updates, settings):  # type: ignore[no-untyped-def]
    def one(agent, predictor, dataset, seed, updates):  # type: ignore[no-untyped-def]
        return fit(stream(seed, "fit", agent, updates), predictor, dataset, settings)

    return over_block(one, shared_arguments=2)(block, seed, updates)


def refresh(experiment: Experiment, predictors: Any, datasets: InfluenceBatch, updates: int) -> Any:
    """Predictors trained on fresh data; cross-entropy on held-out episodes before and after."""
    config, agents = experiment.config, experiment.domain.agents
    with experiment.phase("fit", agents):
        predictors, figures = experiment.runtime.map_agents(
            partial(_fit, settings=_fit_settings(experiment)),
            (np.arange(agents, dtype=np.int32), predictors, datasets),
            (config.seed, updates),
            experiment.progress.advance,
        )
    _log_fit(experiment, figures, updates)
    return predictors


def _fit_settings(experiment: Experiment) -> FitSettings:
    config = experiment.config
    return FitSettings(config.predictor_epochs, config.predictor_batch, config.predictor_rate)


def _log_fit(experiment: Experiment, figures: dict[str, np.ndarray], updates: int) -> None:
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


def _measure_drift(experiment: Experiment, state: DialsState, updates: int) -> None:
    """Cross-entropy of the predictors as they stand on what the policies do now."""
    datasets = collect(experiment, state, updates)
    with experiment.phase("fit", experiment.domain.agents):
        figures = experiment.runtime.map_agents(_diagnose, (state.predictors, datasets))
    values = {
        "influence/cross_entropy/end": figures["cross_entropy"].mean(),
        "influence/cross_entropy/marginal": figures["marginal"].mean(),
    }
    experiment.log(updates, "fit", values)


def learn_locally(
    experiment: Experiment,
    state: DialsState,
    updates: int,
    stop: int,
    datasets: InfluenceBatch | None = None,
) -> DialsState:
    """Each agent trains in its own simulator; none waits for another until `stop` updates.

    With `datasets` its predictor is trained on them first.
    """
    config, agents = experiment.config, experiment.domain.agents
    steps = experiment.step_of(stop - updates) * agents
    before = experiment.time["train"]
    domain, runtime = experiment.domain, experiment.runtime
    advance = experiment.progress.advance
    *inside, finished = runtime.telling(advance, experiment.step_of(stop - updates))
    sizes = (domain, experiment.ppo_settings(), config.windows, config.window, config.copies)
    block = (np.arange(agents, dtype=np.int32), *state)
    with experiment.phase("train", steps):
        if is_host(domain.local_simulator):
            learn = make_host_local_learning(*sizes, len(runtime.devices), *inside)
        else:
            learn = make_local_learning(*sizes, *inside)
        if datasets is not None:
            learn, block = partial(_fit_and, learn, _fit_settings(experiment)), (*block, datasets)
        learners, copies, measured, *fitted = runtime.map_agents(
            learn, block, (config.seed, updates, stop), finished
        )
    if fitted:
        predictors, figures = fitted
        _log_fit(experiment, figures, updates)
        state = state._replace(predictors=predictors)
    seconds = experiment.time["train"] - before
    values = {f"train/{name}": value.mean() for name, value in measured.items()}
    experiment.log(stop, "train", {**values, "train/steps_per_s": steps / seconds})
    return state._replace(learners=learners, copies=copies)


def _fit_and(
    learn: Callable[..., Any], settings: FitSettings, block: Any, seed: Any, start: Any, stop: Any
) -> tuple[Any, ...]:
    """What `learn` gives, by newly trained predictors; they and their figures beside it."""
    agents, learners, predictors, copies, datasets = block
    predictors, figures = _fit((agents, predictors, datasets), seed, start, settings=settings)
    learned = learn((agents, learners, predictors, copies), seed, start, stop)
    return (*learned, predictors, figures)
