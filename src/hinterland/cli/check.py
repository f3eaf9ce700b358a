"""`hinterland check`: does a domain keep the contracts?"""

import sys
from collections.abc import Sequence

from hinterland.cli.arguments import Parser, whole_number


def run(arguments: Sequence[str]) -> int:
    """Checks; returns the exit status."""
    parser = Parser(
        prog="hinterland check",
        description="Runs the conformance kit on a domain: shapes, finiteness, determinism, and "
        "the factorisation test (the local simulator, given the true influence, must move exactly "
        "as its region of the global simulator does).",
    )
    parser.add_argument("domain", metavar="MODULE:FACTORY", help="or an installed domain's name")
    parser.add_argument("--agents", type=whole_number, default=4, metavar="N", help="default: 4")
    parser.add_argument("--episodes", type=whole_number, default=2, metavar="E", help="default: 2")
    parser.add_argument("--seed", type=whole_number, default=0, metavar="K", help="default: 0")
    options = parser.parse_args(arguments)
    print("checking (compiling first) ...", file=sys.stderr, flush=True)
    from hinterland.cli.setup import start_jax

    start_jax()
    from hinterland.domains import load_domain
    from hinterland.testing import check_domain

    domain = load_domain(options.domain, options.agents)
    for line in check_domain(domain, seed=options.seed, episodes=options.episodes):
        print(f"passed: {line}")
    return 0
