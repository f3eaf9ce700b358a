"""`hinterland evaluate`: a run's policies, or hand-written ones, on the global simulator."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from hinterland.api.display import Played, note
from hinterland.api.evaluation import MILESTONES, check_used, figures, milestones, players
from hinterland.cli import interrupts
from hinterland.cli.arguments import Parser, add_anew_options, anew_of, path_name, whole
from hinterland.cli.setup import add_runtime_options
from hinterland.config import MILLION, SEEDS, STEPS
from hinterland.core.bounds import flag_of
from hinterland.core.figures import beside, part_of, parts_of
from hinterland.core.names import printable

MOST_PARTS = 30
"""Rows of a table of parts."""


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
    add_anew_options(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Evaluates; returns the exit status."""
    from hinterland.record import RunFolder

    options = parser().parse_args(arguments)
    check_used(options.policy, {"greedy": options.greedy, "step": options.step is not None})
    folder = RunFolder.read(options.run)
    from hinterland.api.start import make_runtime

    with make_runtime(options.devices, options.runtime, options.address) as runtime:
        with interrupts.stopping(runtime.interrupt):
            found, shown = _measured(options, runtime, folder)
    if options.policy == "learned":
        found |= milestones(folder.metrics())
    if anew := anew_of(options):
        found["options"] = anew
    own = beside(found, shown)
    print(
        f"{found['policy']}{' (greedy)' if found['greedy'] else ''}: return "
        f"{found['return_mean']:.3f} ± {found['return_ci95']:.3f} (95 %) over "
        f"{found['episodes']} episodes, s.d. {found['return_std']:.3f}, "
        f"{own and f'{own}, '}step {found['step']:,}"
        + "".join(f", {flag_of(name)} {value}" for name, value in anew.items())
    )
    for name in sorted(x for x in found if f"{x}_std" in found and part_of(x, found) is None):
        print(f"  {name:<20}{found[name]:>12,.3f}  (s.d. {found[f'{name}_std']:,.3f})")
    for name in (x for x in found if x.startswith("return/")):
        print(f"  {name:<20}{found[name]:>12,.3f}")
    for name in MILESTONES:
        if name in found:
            reached = "never" if found[name] is None else f"step {found[name]:,}"
            print(f"  {name:<20}{reached:>12}")
    for line in by_part(found):
        print(line)
    if options.json:
        print(json.dumps(found))
    return 0


def by_part(found: dict[str, Any]) -> Iterator[str]:
    """Tables of the figures of parts, where there are several."""
    for kind, parts in parts_of(found).items():
        if len(parts) < 2:
            continue
        names = list(dict.fromkeys(name for own in parts.values() for name in own))
        yield f"  {f'by {kind}':<20}" + "".join(f"{name:>15}" for name in names)
        for part, own in list(parts.items())[:MOST_PARTS]:
            cells = (f"{own[x]:,.2f}" if x in own else "–" for x in names)
            yield f"  {printable(part):<20}" + "".join(f"{cell:>15}" for cell in cells)
        if len(parts) > MOST_PARTS:
            yield f"  and {len(parts) - MOST_PARTS} more: --json has all"


def _measured(options: Any, runtime: Any, folder: Any) -> tuple[dict[str, Any], Sequence[str]]:
    """What the evaluation gives, and the step of the checkpoint; what stands beside the return."""
    print("evaluating (compiling first) ...", file=sys.stderr, flush=True)
    how: dict[str, Any] = {"episodes": options.episodes, "seed": options.seed,
                           "opponent": options.opponent,
                           "told": Played(options.episodes)}  # fmt: skip
    config, domain, learned, step = players(
        folder, options.policy, options.step, anew=anew_of(options)
    )
    found = figures(
        config,
        domain,
        learned,
        step,
        runtime,
        options.policy,
        options.greedy,
        how,
        lambda text: note(f"note: {text}"),
    )
    return found, getattr(domain, "shown_figures", ())
