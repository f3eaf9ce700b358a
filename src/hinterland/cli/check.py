"""`hinterland check`: does a domain keep the contracts?"""

import sys
from collections.abc import Sequence

from hinterland.cli.arguments import Parser, whole
from hinterland.config import SEEDS


def run(arguments: Sequence[str]) -> int:
    """Checks; returns the exit status."""
    parser = Parser(
        prog="hinterland check",
        description="Runs the conformance kit on a domain: shapes, finiteness, determinism, and "
        "the factorisation test (the local simulator, given the true influence, must move exactly "
        "as its region of the global simulator does).",
    )
    parser.add_argument("domain", metavar="MODULE:FACTORY", help="or an installed domain's name")
    parser.add_argument(
        "--agents", type=whole(1, 10_000), default=4, metavar="N", help="default: 4"
    )
    parser.add_argument(
        "--episodes", type=whole(1, 10_000), default=2, metavar="E", help="default: 2"
    )
    parser.add_argument("--seed", type=whole(0, SEEDS), default=0, metavar="K", help="default: 0")
    options = parser.parse_args(arguments)
    print("checking (compiling first) ...", file=sys.stderr, flush=True)
    from hinterland.domains import load_domain
    from hinterland.testing.conformance import NOTE, check_domain

    domain = load_domain(options.domain, options.agents)
    for line in check_domain(domain, seed=options.seed, episodes=options.episodes):
        print(line if line.startswith(NOTE) else f"passed: {line}")
    return 0
