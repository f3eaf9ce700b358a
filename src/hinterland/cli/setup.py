"""Options that several commands share: where work happens."""

import argparse

from hinterland.api.start import MOST_DEVICES


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where work happens; none of these changes a result."""
    from hinterland.cli.arguments import whole

    parser.add_argument(
        "--devices",
        type=whole(1, MOST_DEVICES),
        metavar="N",
        help="devices to use: cores of the CPU, or accelerators (default: all)",
    )


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """This machine, or a cluster."""
    add_machine_options(parser)
    parser.add_argument(
        "--runtime",
        choices=("local", "ray"),
        default="local",
        help="where units of work run: this machine's devices, or a Ray cluster (local)",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="--runtime ray: the cluster to join; unset: one of --devices processors is started "
        "here, and ended with the command",
    )
