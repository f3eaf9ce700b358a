"""From a configuration to a finished run."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, UserError, is_entity_domain, is_game, is_host
from hinterland.rollout import SESSIONS, System
from hinterland.training import dials, lockstep, pipeline, separated
from hinterland.training.evaluate import evaluate_networks, evaluate_scripted
from hinterland.training.experiment import Experiment, from_arrays
from hinterland.training.workers import copies_of


def check_config(config: Config, domain: Domain, runtime: str = "local") -> None:
    """Whether this domain can be trained in as configured, there.

    Raises:
        UserError: it cannot.
    """
    alone = config.simulation == "global" or is_entity_domain(domain)
    if runtime == "ray" and config.schedule is None and alone:
        # Every update would be a message of all that was experienced.
        raise UserError(
            "--runtime ray runs agents with local simulators (--simulation dials or untrained) and "
            "--schedule: leave it out"
        )
    if config.schedule is not None:
        pipeline.check_config(config, domain)
    elif is_entity_domain(domain):
        separated.check_config(config, domain)
    elif config.entity_options:
        name = next(iter(config.entity_options)).replace("_", "-")
        raise UserError(f"--{name} is for domains of entities, which {config.domain} is not")
    elif config.shared_policy and is_host(domain.global_simulator):
        raise UserError("--shared-policy is not offered on simulators outside of JAX")


def simulator_processes(config: Config, domain: Any) -> int:
    """Processes that a run keeps for simulators outside of JAX, and workers beside them."""
    if config.schedule is None:
        if is_game(domain):
            return config.copies
        if is_entity_domain(domain) or not is_host(domain.global_simulator):
            return 0
        return max(SESSIONS, config.copies if config.simulation == "global" else 0)
    system, each = System(domain), config.copies_per_process or 1
    if not system.is_host:
        return 0
    workers, copies = config.workers or 1, copies_of(config)
    evaluating = -(-SESSIONS // each) if hasattr(system.simulator, "games") else SESSIONS
    if config.schedule == "lockstep":
        return evaluating + workers * copies // each
    return evaluating + workers * (1 + (copies // each if each < copies else each == 1))


def loop_of(config: Config, domain: Domain) -> Any:
    """The module that trains: its `start(experiment)` and `train(experiment, state, updates)`."""
    if config.schedule is not None:
        return pipeline
    if is_entity_domain(domain):
        return separated
    return lockstep if config.simulation == "global" else dials


def train(
    experiment: Experiment,
    checkpoint: tuple[Mapping[str, np.ndarray], Mapping[str, Any]] | None,
    begins: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Trains to the configured number of steps, evaluates, and writes the summary.

    Args:
        experiment: the run's parts.
        checkpoint: (arrays, metadata) to continue from, or None for a new run.
        begins: called once all is known to fit, before the record is written to.

    Returns:
        The summary, as in summary.json.

    Raises:
        UserError: the checkpoint is of another run; or see `check_config`.
    """
    config = experiment.config
    check_config(config, experiment.domain)
    loop = loop_of(config, experiment.domain)
    state: Any = loop.start(experiment)
    updates = 0
    if checkpoint is not None:
        arrays, meta = checkpoint
        state, updates = from_arrays(arrays, state), int(meta["updates"])
    begins()
    state = loop.train(experiment, state, updates)
    evaluation = final_evaluation(experiment, state.learners.network)
    summary = experiment.summary(experiment.total_updates, evaluation, finished=True)
    if experiment.record is not None:
        experiment.record.write_summary(summary)
    return summary


def final_evaluation(experiment: Experiment, networks: Any) -> dict[str, dict[str, Any]]:
    """Learned (sampled and greedy), random and heuristic policies on the global simulator."""
    config, runtime, domain = experiment.config, experiment.runtime, experiment.domain
    if config.shared_policy:
        networks = jax.tree.map(lambda x: x[0], networks)
    advance = experiment.progress.advance
    how: dict[str, Any] = {"episodes": config.final_episodes, "seed": config.seed, "told": advance}
    result = {}
    names = [name for name in ("random", "heuristic") if name in domain.scripted]
    with experiment.phase("evaluate", (2 + len(names)) * config.final_episodes):
        for name, greedy in (("learned", False), ("learned_greedy", True)):
            result[name] = evaluate_networks(
                runtime,
                domain,
                networks,
                greedy=greedy,
                purpose="final",
                place=int(greedy),
                shared=config.shared_policy,
                **how,
            )
        for name in names:
            result[name] = evaluate_scripted(runtime, domain, name, **how)
    return result
