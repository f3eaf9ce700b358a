"""From a configuration to a finished run."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hinterland.config import Config
from hinterland.core import UserError
from hinterland.training import apart, loop
from hinterland.training.evaluate import evaluate_policy, evaluate_scripted
from hinterland.training.experiment import Experiment, from_arrays
from hinterland.training.opponents import Opponents
from hinterland.training.own_networks import is_given
from hinterland.training.plan import Plan, check_plan


def check_config(config: Config, domain: Any, runtime: str = "local") -> Plan:
    """Whether this domain can be trained in as configured, there; the run's plan.

    Raises:
        UserError: it cannot.
    """
    plan = check_plan(config, domain)
    if runtime == "ray" and config.schedule == "fused" and not plan.apart:
        # Every update would be a message of all that was experienced.
        raise UserError(
            "--runtime ray runs regions with learners of their own (--simulation dials or "
            "untrained) and --schedule lockstep or pipeline: leave it out"
        )
    if plan.apart:
        for name in ("actors", "lag", "queue", "correction"):
            if getattr(config, name) is not None:
                raise UserError(
                    f"--{name}: each region has a learner of its own, whose newest policy acts: "
                    "leave it out, or add --slot-networks shared"
                )
    elsewhere = plan.is_host and config.schedule == "pipeline" and not plan.apart
    if is_given(config) and (elsewhere or runtime == "ray"):
        raise UserError(
            f"network {config.network!r} is a function of a script, and workers in processes of "
            "their own find it by name only: put it into a module, and import it from there"
        )
    Opponents(config, domain)
    if plan.local and config.opponents is not None:
        raise UserError("--opponents: regions have no other side; add --simulation global")
    return plan


def loop_of(plan: Plan) -> Any:
    """The module that trains: `start(experiment, plan)` and
    `train(experiment, plan, state, updates)`."""
    return apart if plan.apart else loop


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
    plan, state = trained(experiment, checkpoint, begins)
    evaluation = final_evaluation(experiment, plan.policy(state.learners))
    summary = experiment.summary(evaluation)
    if experiment.record is not None:
        experiment.record.write_summary(summary)
    return summary


def trained(
    experiment: Experiment,
    checkpoint: tuple[Mapping[str, np.ndarray], Mapping[str, Any]] | None = None,
    begins: Callable[[], None] = lambda: None,
) -> tuple[Plan, Any]:
    """(the plan, the state at the end of training); arguments and errors as of `train`."""
    plan = check_config(experiment.config, experiment.domain)
    module = loop_of(plan)
    state: Any = module.start(experiment, plan)
    updates = 0
    if checkpoint is not None:
        arrays, meta = checkpoint
        state, updates = from_arrays(arrays, state), int(meta["updates"])
    begins()
    return plan, module.train(experiment, plan, state, updates)


def final_evaluation(experiment: Experiment, policy: Any) -> dict[str, dict[str, Any]]:
    """Learned (sampled and greedy), random and heuristic policies on the global simulator."""
    config, runtime, domain = experiment.config, experiment.runtime, experiment.domain
    how: dict[str, Any] = {"episodes": config.final_episodes, "told": experiment.progress.advance}
    result = {}
    names = [name for name in ("random", "heuristic") if name in domain.scripted]
    with experiment.phase("evaluate", (2 + len(names)) * config.final_episodes):
        for name, greedy in (("learned", False), ("learned_greedy", True)):
            place = (config.seed, "final", int(greedy))
            result[name] = evaluate_policy(
                runtime, domain, policy, greedy=greedy, place=place, **how
            )
        for name in names:
            result[name] = evaluate_scripted(runtime, domain, name, seed=config.seed, **how)
    return result
