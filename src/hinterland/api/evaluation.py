"""`hinterland.evaluate`: policies of a run, or hand-written ones, on the global simulator."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hinterland.api.start import machine, stopping
from hinterland.api.systems import get_domain, look_where_it_was, trained_policy, with_anew

if TYPE_CHECKING:
    from hinterland.api.policies import Policies
    from hinterland.api.runs import Run
    from hinterland.config import Config
    from hinterland.core import Domain
    from hinterland.record import RunFolder
    from hinterland.runtime import LocalRuntime

MILESTONES = {"steps_to_10_percent": 0.10, "steps_to_95_percent": 0.95}
"""Shares of evaluation games that reach their last step with everybody still in them."""


def evaluate(
    run: "str | PathLike[str] | Run | Policies",
    *,
    episodes: int = 100,
    greedy: bool = False,
    policy: str = "learned",
    opponent: str | None = None,
    seed: int = 0,
    step: int | None = None,
    domain: "Domain | None" = None,
    network: "Callable[..., Any] | None" = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    devices: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Mean episodic return on the global simulator: the figures of `hinterland evaluate`.

    Args:
        run: a run's folder, what `train` returned, or policies.
        episodes: how many are played, 2 at least.
        greedy: the likeliest actions instead of sampled ones.
        policy: "learned", or a hand-written one of the domain: random, heuristic, ...
        opponent: a hand-written policy to play against, where games have sides.
        seed: of the episodes.
        step: of a folder's checkpoint; the newest by default.
        domain: the object that a folder's run was trained in, if no name makes it again.
        network: the function that a folder's run was trained with, if no name finds it again.
        options: of the domain of a folder's run that change its episodes, such as
            {"seconds": 3600} on your own network of lights.
        devices: cores of the CPU, or accelerators; all by default.
        progress: say on standard error how far it is.

    Returns:
        "return_mean", "return_std", "return_ci95" (half a 95 % interval), "episodes", "policy",
        "greedy", "step", and the domain's own figures.

    Raises:
        UserError: something given cannot be, in one sentence.
    """
    from hinterland.api.display import Played, note
    from hinterland.api.policies import Policies
    from hinterland.api.runs import Run, end_processes
    from hinterland.config import MILLION, SEEDS
    from hinterland.core.bounds import Range
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    for name, value, allowed in (("episodes", episodes, Range(2, MILLION)),
                                 ("seed", seed, Range(0, SEEDS))):  # fmt: skip
        if problem := allowed.problem(value):
            raise UserError(f"{name}={value}: {problem}")
    check_used(policy, {"greedy": greedy, "step": step is not None})
    if isinstance(run, Run):
        run = run.policies
    if isinstance(run, Policies):
        for name, given in (("step", step), ("domain", domain), ("network", network),
                            ("options", options or None)):  # fmt: skip
            if given is not None:
                raise UserError(f"{name} is for a run's folder: policies have their own")
    if progress:
        note("evaluating (compiling first) ...")
    told = Played(episodes) if progress else _nobody
    how: dict[str, Any] = {"episodes": episodes, "seed": seed, "opponent": opponent, "told": told}
    with machine(devices) as runtime, stopping(runtime.interrupt):
        if isinstance(run, Policies):
            config, made, learned, at = run.config, run.domain, run.policy, run.step
            reached: dict[str, int | None] = {}
        else:
            folder = RunFolder.read(Path(run))
            config, made, learned, at = players(folder, policy, step, domain, network, options)
            reached = milestones(folder.metrics()) if policy == "learned" else {}
        try:
            return figures(config, made, learned, at, runtime, policy, greedy, how) | reached
        finally:
            end_processes(made)


def _nobody(episodes: int) -> None:
    """Is told, and does nothing."""


def check_used(policy: str, given: dict[str, bool]) -> None:
    """A hand-written policy has neither likeliest actions nor checkpoints.

    Raises:
        UserError: something was given for one.
    """
    from hinterland.core.errors import UserError

    for name, is_given in given.items():
        if is_given and policy != "learned":
            raise UserError(f"--{name} is for --policy learned, not {policy}: leave it out")


def players(
    folder: "RunFolder",
    policy: str,
    step: int | None = None,
    given: "Domain | None" = None,
    network: Any = None,
    anew: Mapping[str, Any] = MappingProxyType({}),
) -> "tuple[Config, Domain, Any, int]":
    """(configuration, domain, policy, step) of a run; of hand-written policies (…, None, 0)."""
    if policy == "learned":
        return trained_policy(folder, step, given, network, anew)
    from hinterland.config import make_config

    look_where_it_was(folder, given, network)
    config = with_anew(make_config(folder.config), anew)
    return config, get_domain(config, folder, given), None, 0


def figures(
    config: "Config",
    domain: "Domain",
    learned: Any,
    step: int,
    runtime: "LocalRuntime",
    policy: str,
    greedy: bool,
    how: dict[str, Any],
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """What an evaluation gives, and the step of the checkpoint; arguments as of `evaluate`.

    Args:
        config: of the run.
        domain: its domain.
        learned: its policy; of no use for hand-written ones.
        step: theirs.
        runtime: where the episodes are played.
        policy: "learned", or a hand-written one's name.
        greedy: the likeliest actions.
        how: "episodes", "seed", "opponent", and "told", who is told of episodes played.
        say: hears what the evaluation will need, if that is much.
    """
    from hinterland.training import check_players, evaluate_policy, evaluate_scripted
    from hinterland.training.estimate import Estimate, check_memory

    check_players(domain, policy, how["opponent"])
    estimate = Estimate(config, domain, runtime)
    for text in check_memory(estimate.memory_of_evaluation(how["episodes"])):
        say(text)
    if policy != "learned":
        return {**evaluate_scripted(runtime, domain, policy, **how), "step": 0}
    # A stream of its own: no evaluation inside a run draws these.
    how, place = {**how}, (how["seed"], "command", 0)
    del how["seed"]
    found = evaluate_policy(runtime, domain, learned, greedy=greedy, place=place, **how)
    return {**found, "step": step}


def milestones(metrics: list[dict[str, Any]]) -> dict[str, int | None]:
    """The first step at which so many evaluation games reached their end; None: at none.

    Empty where evaluation has no such figure.
    """
    shares = [(x["step"], x["eval/sampled/finished"]) for x in metrics
              if "eval/sampled/finished" in x]  # fmt: skip
    return {
        name: min((step for step, share in shares if share >= least), default=None)
        for name, least in MILESTONES.items()
        if shares
    }
