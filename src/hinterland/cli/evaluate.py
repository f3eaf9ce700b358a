"""`hinterland evaluate`: a run's policies, or hand-written ones, on the global simulator."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, path_name, whole_number
from hinterland.cli.setup import add_runtime_options

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
        "--episodes", type=whole_number, default=100, metavar="E", help="default: 100"
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
        "--step", type=whole_number, metavar="N", help="checkpoint of this step (default: newest)"
    )
    made.add_argument(
        "--seed", type=whole_number, default=0, metavar="K", help="of the episodes (default: 0)"
    )
    made.add_argument("--json", action="store_true", help="last line: the figures as JSON")
    add_runtime_options(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Evaluates; returns the exit status."""
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    options = parser().parse_args(arguments)
    if options.episodes < 2:
        raise UserError(f"--episodes {options.episodes}: must be at least 2")
    if options.seed < 0:
        raise UserError(f"--seed {options.seed}: must be at least 0")
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
    for name in MILESTONES:
        if name in figures:
            reached = "never" if figures[name] is None else f"step {figures[name]:,}"
            print(f"  {name:<20}{reached:>12}")
    if options.json:
        print(json.dumps(figures))
    return 0


def _measured(options: Any, runtime: Any, folder: Any) -> dict[str, Any]:
    """What the evaluation gives, and the step of the checkpoint."""
    from hinterland.cli.setup import get_domain, trained_networks
    from hinterland.training import check_players, evaluate_networks, evaluate_scripted

    print("evaluating (compiling first) ...", file=sys.stderr, flush=True)
    how: dict[str, Any] = {"episodes": options.episodes, "seed": options.seed,
                           "opponent": options.opponent}  # fmt: skip
    if options.policy == "learned":
        config, domain, networks, step = trained_networks(folder, options.step)
        check_players(domain, options.policy, options.opponent)
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

        config = make_config(folder.config)
        domain, step = get_domain(config), 0
        figures = evaluate_scripted(runtime, domain, options.policy, **how)
    return {**figures, "step": step}


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
