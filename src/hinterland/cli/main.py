"""Names the commands, and turns whatever ends one early into one sentence and an exit status."""

import errno
import sys
from collections.abc import Sequence
from typing import Any

from hinterland.cli import interrupts, streams

COMMANDS = {
    "train": "train agents, or resume a run",
    "evaluate": "measure a run's policies, or hand-written ones, on the global simulator",
    "study": "a grid of runs from a TOML file, resumable, into one report",
    "report": "one self-contained HTML page from runs or studies",
    "watch": "a moving picture of a trained team, as a self-contained page or a GIF",
    "export": "a trained policy that runs without Hinterland: a submission to a competition",
    "check": "conformance of your own domain",
    "domains": "the installed domains",
    "bench": "the benchmarks that the README quotes",
    "doctor": "devices, versions: what works here",
}

USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: its words. None: those of the process, which is there for nothing else: signals then
            end it as `interrupts` says.

    Returns:
        0 when it did what was asked, 2 after bad input, 128 + the number of a signal after one,
        such as 130 after Ctrl-C.
    """
    if argv is None:
        streams.prepare()
        interrupts.install()
    else:
        streams.readable()
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = _command(arguments)
    try:
        return _module(name).run(arguments[1:])
    except KeyboardInterrupt:
        print(f"\nhinterland {name}: interrupted{interrupts.said()}", file=sys.stderr)
        return interrupts.status()
    except BrokenPipeError:  # who reads has had enough, as `head`
        streams.no_more_output()
        return 0
    except Exception as error:
        if (sentence := _sentence(error)) is None:
            raise
        # Names out of files and messages of other programs: nothing that a terminal would obey.
        from hinterland.core.names import printable

        print(f"hinterland {name}: {printable(sentence)}", file=sys.stderr)
        return USAGE_ERROR


def _sentence(error: Exception) -> str | None:
    """What the user can mend; None: it is a fault of ours, which its traceback helps to mend."""
    from hinterland.core.blame import blamed, place_of
    from hinterland.core.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    if place_of(error) is not None:
        return blamed(error)
    if not isinstance(error, OSError) or error.strerror is None:
        return None
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
        streams.no_more_output()
        return f"standard output cannot be written: {error.strerror}"
    return error.strerror


def _command(arguments: list[str]) -> str:
    """The first word, which must be a command's name; ends the process after --help."""
    import argparse

    from hinterland import __version__

    parser = argparse.ArgumentParser(
        prog="hinterland",
        description="Train very many learning agents in one large coupled system.",
        epilog="'hinterland COMMAND --help' lists a command's options with units and defaults.",
    )
    parser.add_argument("--version", action="version", version=f"hinterland {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser.parse_args(arguments[:1]).command


def _module(name: str) -> Any:
    """A command is a module with `run(arguments)`; the others, and what they need, stay unread."""
    import importlib

    interrupts.running(name)
    return importlib.import_module(f"hinterland.cli.{name}")
