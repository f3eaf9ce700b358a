"""`hinterland evaluate`: a run's policies, or hand-written ones, on the global simulator."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, path_name, whole
from hinterland.cli.display import Played, note
from hinterland.cli.setup import add_runtime_options
from hinterland.config import MILLION, SEEDS, STEPS
from hinterland.core.errors import UserError

MILESTONES = {"steps_to_10_percent": 0.10, "steps_to_95_percent": 0.95}
"""Shares of evaluation games that reach their last step with everybody still in them."""


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog="hinterland evaluate",
        description="Mean episodic return on the global simulator: mean over episodes and agents "
        "of the undiscounted sum of rewards of one episode.",
    )
    made.add_argument("run", metavar="RUN", type=path_name, help="run folder")
    made.add_argument(
        "--episodes",
        type=whole(2, MILLION),
        default=100,
        metavar="E",
        help=f"2 to {MILLION:,} (default: 100)",
    )
    made.add_argument(
        "--policy",
        default="learned",
        help="learned, or a hand-written one of the domain: random, heuristic, ... "
        "(default: learned)",
    )
    made.add_argument(
        "--opponent",
        metavar="POLICY",
        help="a hand-written policy against which --policy plays, from either side in turn, where "
        "games have sides (default: against itself)",
    )
    made.add_argument("--greedy", action="store_true", help="likeliest actions, not sampled ones")
    made.add_argument(
        "--step",
        type=whole(0, STEPS),
        metavar="N",
        help="checkpoint of this step (default: newest)",
    )
    made.add_argument(
        "--seed", type=whole(0, SEEDS), default=0, metavar="K", help="of the episodes (default: 0)"
    )
    made.add_argument("--json", action="store_true", help="last line: the figures as JSON")
    add_runtime_options(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Evaluates; returns the exit status."""
    from hinterland.record import RunFolder

    options = parser().parse_args(arguments)
    _check_used(options)
    folder = RunFolder.read(options.run)
    from hinterland.cli.setup import make_runtime

    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        with interrupts.stopping(runtime.interrupt):
            figures = _measured(options, runtime, folder)
    if options.policy == "learned":
        figures |= milestones(folder.metrics())
    print(
        f"{figures['policy']}{' (greedy)' if figures['greedy'] else ''}: return "
        f"{figures['return_mean']:.3f} ± {figures['return_ci95']:.3f} (95 %) over "
        f"{figures['episodes']} episodes, s.d. {figures['return_std']:.3f}, "
        f"step {figures['step']:,}"
    )
    for name in sorted(x for x in figures if f"{x}_std" in figures):
        print(f"  {name:<20}{figures[name]:>12,.3f}  (s.d. {figures[f'{name}_std']:,.3f})")
    for name in (x for x in figures if x.startswith("return/")):
        print(f"  {name:<20}{figures[name]:>12,.3f}")
    for name in MILESTONES:
        if name in figures:
            reached = "never" if figures[name] is None else f"step {figures[name]:,}"
            print(f"  {name:<20}{reached:>12}")
    if options.json:
        print(json.dumps(figures))
    return 0


def _check_used(options: Any) -> None:
    """A hand-written policy has neither likeliest actions nor checkpoints."""
    for name, given in (("greedy", options.greedy), ("step", options.step is not None)):
        if given and options.policy != "learned":
            raise UserError(f"--{name} is for --policy learned, not {options.policy}: leave it out")


def _measured(options: Any, runtime: Any, folder: Any) -> dict[str, Any]:
    """What the evaluation gives, and the step of the checkpoint."""
    from hinterland.cli.setup import get_domain, look_where_it_was, trained_networks
    from hinterland.training import check_players, evaluate_networks, evaluate_scripted

    print("evaluating (compiling first) ...", file=sys.stderr, flush=True)
    how: dict[str, Any] = {"episodes": options.episodes, "seed": options.seed,
                           "opponent": options.opponent,
                           "told": Played(options.episodes)}  # fmt: skip
    if options.policy == "learned":
        config, domain, networks, step = trained_networks(folder, options.step)
        check_players(domain, options.policy, options.opponent)
        _say_needs(config, domain, runtime, options.episodes)
        figures = evaluate_networks(
            runtime,
            domain,
            networks,
            greedy=options.greedy,
            purpose="command",  # a stream of its own: no evaluation inside a run draws these
            place=0,
            shared=config.shared_policy,
            **how,
        )
    else:
        from hinterland.config import make_config

        look_where_it_was(folder)
        config = make_config(folder.config)
        domain, step = get_domain(config, folder), 0
        _say_needs(config, domain, runtime, options.episodes)
        figures = evaluate_scripted(runtime, domain, options.policy, **how)
    return {**figures, "step": step}


def _say_needs(config: Any, domain: Any, runtime: Any, episodes: int) -> None:
    from hinterland.training import check_evaluation

    for text in check_evaluation(config, domain, runtime, episodes):
        note(f"note: {text}")


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
