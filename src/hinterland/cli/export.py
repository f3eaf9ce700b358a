"""`hinterland export`: a trained policy in a form that runs without Hinterland."""

from collections.abc import Sequence
from pathlib import Path

from hinterland.cli.arguments import Parser, path_name, whole
from hinterland.config import STEPS
from hinterland.core.names import printable


def run(arguments: Sequence[str]) -> int:
    """Writes the submission; returns the exit status."""
    parser = Parser(
        prog="hinterland export",
        description="Where a domain is of a competition: a submission to it, as files with NumPy "
        "weights, which plays as the policy does with --greedy.",
    )
    parser.add_argument("domain", metavar="DOMAIN", help="of the run")
    parser.add_argument("run", type=path_name, metavar="RUN", help="run folder")
    parser.add_argument(
        "--out", type=path_name, metavar="PATH", default=Path("submission"),
        help="folder, or archive (.tar.gz) (default: submission)",
    )  # fmt: skip
    parser.add_argument(
        "--step",
        type=whole(0, STEPS),
        metavar="N",
        help="checkpoint of this step (default: newest)",
    )
    options = parser.parse_args(arguments)
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder, check_new, write_files

    folder = RunFolder.read(options.run)
    if (found := folder.config.get("domain")) != options.domain:
        raise UserError(f"{options.run} is a run of {found}, not of {options.domain}")
    check_new(options.out)
    from hinterland.api.start import make_runtime
    from hinterland.api.systems import trained_policy

    make_runtime(None)
    _, domain, policy, step = trained_policy(folder, options.step)
    if not hasattr(domain, "submission"):
        raise UserError(f"export {options.domain}: there is no competition of it to export to")
    write_files(options.out, domain.submission(policy))
    print(f"{printable(str(options.out))}: the policy of step {step:,}")
    return 0
