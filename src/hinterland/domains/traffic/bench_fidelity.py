"""The benchmark of the native intersection: how close it is to SUMO."""

import argparse
import math
from typing import Any

from hinterland.api.display import note
from hinterland.cli.arguments import whole
from hinterland.config import MILLION, SEEDS

SUMMARY = (
    "how closely the native intersection follows SUMO, given the same cars and switches; beside it "
    "SUMO against SUMO with another seed"
)
REPEAT = None
"""It is the same at each repetition."""
REWARD_BAR, BITS_BAR, BITS_BAR_UP_TO = 0.02, 0.95, 0.1
"""Of fidelity: difference of mean rewards; share of equal bits, up to this insertion rate."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much traffic, and which."""
    parser.add_argument("--seconds", type=whole(60, MILLION), default=3000, metavar="S",
                        help="of simulated traffic, at least 60, or a case may see no car "
                        "(default: 3000)")  # fmt: skip
    parser.add_argument("--seed", type=whole(0, SEEDS), default=0, metavar="K", help="default: 0")


def measure(options: Any) -> dict[str, Any]:
    """The native intersection against SUMO, second by second, and whether it is close enough."""
    from hinterland.domains.traffic import fidelity

    note("SUMO twice and the native simulator, in each case ...")
    cases = fidelity.compare(seconds=options.seconds, seed=options.seed)
    print(fidelity.table(cases))
    reward = max(abs(case.native.reward - case.sumo.reward) for case in cases)
    sparse = [case for case in cases if case.case.probability <= BITS_BAR_UP_TO]
    bits = min(case.agreement.bits for case in sparse)
    meets = reward <= REWARD_BAR and bits >= BITS_BAR
    print(
        f"verdict: {'within' if meets else 'NOT within'} the bar: mean reward differs by "
        f"{reward:.3f} at most (bar: {REWARD_BAR}); with p <= {BITS_BAR_UP_TO} at least {bits:.3f} "
        f"of the bits are equal (bar: {BITS_BAR})"
    )
    rows = [
        {"probability": one.case.probability, "switching": one.case.switching}
        | {name: _plain(getattr(one, name)) for name in ("sumo", "native", "other_seed")}
        | {name: _plain(getattr(one, name)) for name in ("agreement", "floor")}
        for one in cases
    ]
    return {"seconds": options.seconds, "seed": options.seed, "reward_difference": reward,
            "bits_equal": bits, "meets_bar": meets, "cases": rows}  # fmt: skip


def _plain(figures: Any) -> dict[str, Any]:
    """A named tuple as JSON takes it: what could not be measured is null."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures._asdict().items()
    }
