"""From a configuration to a finished run."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from inspect import unwrap
from typing import Any

import jax
import numpy as np

from hinterland.config import Config
from hinterland.core import Chosen, UserError, is_entity_domain, is_game, is_host, kinds_of
from hinterland.core.blame import blaming, defined_at
from hinterland.core.bounds import flag_of
from hinterland.nets import what_of
from hinterland.training.apart import learn_apart
from hinterland.training.dials import measure_drift, meet
from hinterland.training.evaluate import BASELINES, evaluate_policy, evaluate_scripted
from hinterland.training.experiment import Experiment, from_arrays
from hinterland.training.loop import Loop
from hinterland.training.opponents import Opponents
from hinterland.training.own_networks import is_given, is_own
from hinterland.training.plan import Plan, State


def check_config(config: Config, domain: Any, runtime: str = "local") -> Plan:
    """Whether this domain can be trained in as configured, there; the run's plan.

    Raises:
        UserError: it cannot; why, in one sentence.
    """
    name = domain.name
    if config.simulation != "global":
        _check_regions(config, domain)
    if config.shared_policy:
        _check_shared_policy(config, domain)
    if config.slot_networks == "role" and not hasattr(domain, "roles"):
        raise UserError(f"--slot-networks role: {name} knows no roles")
    plan = Plan(config, domain)
    if plan.whole:
        _check_whole(plan)
    elif plan.of_games and is_own(config):
        raise UserError(
            f"network {config.network} is of one slot, and what games show is between {name} and "
            "its network: give a core.Policy of all slots"
        )
    if config.windows % (config.actors or 1):
        raise UserError(
            f"--actors {config.actors}: must divide --windows {config.windows}; an update learns "
            "from windows / actors segments"
        )
    what, each = ("steps", config.window) if plan.how().by_step else ("sequences", 1)
    units = config.copies * config.windows * plan.system.sides * each // config.minibatches
    if units % (config.pieces or 1):
        raise UserError(f"--pieces {config.pieces}: must divide a minibatch's {units} {what}")
    if (config.copies_per_process or 1) > 1:
        _check_processes(plan, f"--copies-per-process {config.copies_per_process}")
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


def _check_regions(config: Config, domain: Any) -> None:
    kinds = kinds_of(domain)
    locals_ = [kind.local_simulator for kind in kinds]
    if is_game(domain):
        raise UserError(
            f"{domain.name} is a game of sides, which has no regions: add --simulation global"
        )
    if None in locals_:
        raise UserError(f"{domain.name} has no local simulators: add --simulation global")
    if config.critic == "central" and not all(hasattr(one, "central") for one in locals_):
        raise UserError(
            "--critic central: a local simulator does not show the whole system's state; use "
            "--critic own, or --simulation global"
        )
    each = max(kind.regions.shape[1] for kind in kinds)
    for option in ("credit", "grouping", "global_parts") if each == 1 else ():
        if (value := getattr(config, option)) not in (None, "agent", "entity"):
            raise UserError(
                f"{flag_of(option)} {value}: credit is shared within a region, and "
                f"those of {domain.name} hold one agent each: larger regions, or --simulation "
                "global"
            )
    if len(kinds) > 1 and config.slot_networks not in (None, "own"):
        raise UserError(
            f"--slot-networks {config.slot_networks}: the regions of {domain.name} are of "
            f"{len(kinds)} kinds, with sizes of their own, which share no network: leave it out, "
            "or add --simulation global"
        )


def _check_whole(plan: Plan) -> None:
    config, make = plan.config, plan.maker
    assert make is not None
    said = f"{what_of(make)} is one policy of all slots"
    if config.simulation != "global":
        raise UserError(f"{said}, and not of a region: add --simulation global")
    if config.shared_policy:
        raise UserError(f"{said}: leave out --shared-policy")
    if config.slot_networks in ("own", "role"):
        raise UserError(f"{said}: leave out --slot-networks {config.slot_networks}")
    if config.critic == "central":
        raise UserError(f"{said}, with values of its own: leave out --critic central")
    if config.opponents is not None:
        raise UserError(f"{said}, which cannot play the other side: leave out --opponents")
    if plan.is_host:
        return  # its simulator would have to start

    def one_step() -> Chosen:
        key, policy = jax.random.key(0), plan.network()
        view = plan.system.look(plan.system.reset(key[None]))
        return policy.act(key, policy.initial(1), view)[1]

    with blaming(what_of(make), unwrap(make)):
        chosen = jax.eval_shape(one_step)
    for name in ("action", "log_probability", "value"):
        if (found := getattr(chosen, name).shape) != (1, plan.domain.agents):
            raise UserError(
                f"{what_of(make)}: act gives {name} {list(found)} for one copy; expected "
                f"[1, {plan.domain.agents}]{defined_at(make)}"
            )


def _check_shared_policy(config: Config, domain: Any) -> None:
    if is_entity_domain(domain):
        raise UserError("--shared-policy is for systems of agents; see --slot-networks")
    if is_host(domain.global_simulator):
        raise UserError("--shared-policy is not offered on simulators outside of JAX")
    if config.schedule != "fused":
        raise UserError(
            "--shared-policy is for --schedule fused: its recurrent state goes from agent to "
            "agent; see --slot-networks shared"
        )


def _check_processes(plan: Plan, option: str) -> None:
    simulator, name = plan.system.simulator, plan.domain.name
    if not plan.is_host:
        raise UserError(f"{option}: {name} is traced by JAX and has no processes")
    if not hasattr(simulator, "shared_sessions"):
        raise UserError(f"{option}: a process holds one simulation of {name}; use 1")
    if (copies := plan.worker_copies) % (plan.config.copies_per_process or 1):
        raise UserError(
            f"{option}: must divide the copies of a worker (copies x actors = {copies})"
        )


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
    state = plan.first_state() if plan.apart else Loop(experiment, plan).start()
    updates = 0
    if checkpoint is not None:
        arrays, meta = checkpoint
        state, updates = from_arrays(arrays, state), int(meta["updates"])
    begins()
    return plan, go_on(experiment, plan, state, updates)


def go_on(experiment: Experiment, plan: Plan, state: State, updates: int = 0) -> State:
    """Algorithm 1 from `updates` to the end of the run: the agents meet, then learn, in turns.

    In turn and fused, a resumed run repeats the uninterrupted one bit for bit. In the pipeline it
    goes on from the same policy, optimiser and places, and then workers race as they always do.
    """
    with ExitStack() as stack:
        learn = partial(learn_apart, experiment, plan)
        if not plan.apart:
            learn = stack.enter_context(Loop(experiment, plan).beginning(state)).learn
        meeting = partial(meet, experiment, plan)
        state = experiment.in_stretches(state, updates, meeting, learn)
    measure_drift(experiment, plan, state)
    return state


def final_evaluation(experiment: Experiment, policy: Any) -> dict[str, dict[str, Any]]:
    """Learned (sampled and greedy), random and heuristic policies on the global simulator."""
    config, runtime, domain = experiment.config, experiment.runtime, experiment.domain
    how: dict[str, Any] = {"episodes": config.final_episodes, "told": experiment.progress.advance}
    result = {}
    names = [name for name in BASELINES if name in domain.scripted]
    with experiment.phase("evaluate", (2 + len(names)) * config.final_episodes):
        for name, greedy in (("learned", False), ("learned_greedy", True)):
            place = (config.seed, "final", int(greedy))
            result[name] = evaluate_policy(
                runtime, domain, policy, greedy=greedy, place=place, **how
            )
        for name in names:
            result[name] = evaluate_scripted(
                runtime, domain, name, seed=config.seed, beside=policy, **how
            )
    return result
