"""`hinterland report`: one self-contained HTML page."""

from collections.abc import Sequence

from hinterland.cli.arguments import Parser, path_name
from hinterland.core.names import printable


def run(arguments: Sequence[str]) -> int:
    """Writes the page; returns the exit status."""
    parser = Parser(
        prog="hinterland report",
        description="One HTML page, which needs no network, from run folders or study folders; "
        "its figures also as PNG, SVG and CSV beside it.",
    )
    parser.add_argument("paths", nargs="+", type=path_name, metavar="RUN|STUDY")
    parser.add_argument(
        "--out",
        type=path_name,
        metavar="FILE",
        help="the page (default: report.html in the first folder)",
    )
    options = parser.parse_args(arguments)
    from hinterland.report import write_report

    page = write_report(options.paths, options.out or options.paths[0] / "report.html")
    print(printable(str(page)))
    return 0
