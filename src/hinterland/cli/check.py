"""`hinterland check`: does a domain keep the contracts?"""

import argparse
import sys
from collections.abc import Sequence

from hinterland.cli.arguments import (
    Parser,
    add_config_options,
    check_owners,
    given_config,
    named_domain,
    whole,
)

MOST_AGENTS = 10_000
"""Every region is judged by itself."""


def parser(domain: str | None = None, add_help: bool = True) -> Parser:
    """The command's options: those that decide what a domain is are as of `train`."""
    made = Parser(
        prog="hinterland check",
        description="Runs the conformance kit on a domain: shapes, finiteness, determinism, and "
        "the factorisation test (the local simulator, given the true influence, must move as "
        "its region of the global simulator does). 'train' refuses what it refuses.",
        add_help=add_help,
    )
    made.add_argument(
        "domain",
        nargs=None if add_help else "?",
        metavar="MODULE:FACTORY",
        help="or an installed domain's name",
    )
    made.add_argument(
        "--episodes",
        type=whole(1, 10_000),
        default=2,
        metavar="E",
        help="of every policy that is played (default: 2)",
    )
    made.add_argument(
        "--agents",
        type=whole(1, MOST_AGENTS),
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"1 to {MOST_AGENTS:,} (default: as of train)",
    )
    add_config_options(made, ("seed",), domain)
    return made


def run(arguments: Sequence[str]) -> int:
    """Checks; returns the exit status."""
    from hinterland.api.systems import completed, prepare_for

    named = named_domain(parser(add_help=False), arguments).domain
    prepare_for(named)
    if named is not None:
        check_owners(arguments, named)
    options = parser(named).parse_args(arguments)
    from hinterland.config import make_config

    config = make_config(completed(given_config(options, named)))
    print("checking (compiling first) ...", file=sys.stderr, flush=True)
    from hinterland.api.start import make_runtime

    make_runtime(None)
    from hinterland.domains import load_domain
    from hinterland.testing.conformance import NOTE, check_domain

    domain = load_domain(config.domain, config.agents, config.domain_options)
    for note in getattr(domain, "notes", ()):
        print(f"note: {note}", file=sys.stderr)
    for line in check_domain(domain, seed=config.seed, episodes=options.episodes):
        print(line if line.startswith(NOTE) else f"passed: {line}")
    return 0
