"""Names the commands, and turns whatever ends one early into one sentence and an exit status."""

import sys
from collections.abc import Sequence

from hinterland.cli import interrupts

COMMANDS = {
    "train": "train agents, or resume a run",
    "evaluate": "measure a run's policies, or hand-written ones, on the global simulator",
    "study": "a grid of runs from a TOML file, resumable, into one report",
    "report": "one self-contained HTML page from runs or studies",
    "watch": "a moving picture of a trained team, as a self-contained page or a GIF",
    "export": "a trained policy that runs without Hinterland: a submission to Lux AI S2",
    "check": "conformance of your own domain",
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
        interrupts.install()
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = _command(arguments)
    try:
        return _module(name).run(arguments[1:])
    except KeyboardInterrupt:
        print(f"\nhinterland {name}: interrupted{interrupts.said()}", file=sys.stderr)
        return interrupts.status()
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        from hinterland.core.errors import UserError

        if not isinstance(error, UserError):
            raise
        print(f"hinterland {name}: {error}", file=sys.stderr)
        return USAGE_ERROR


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


def _module(name: str):  # type: ignore[no-untyped-def]
    """A command is a module with `run(arguments)`; the others, and what they need, stay unread."""
    import importlib

    interrupts.running(name)
    return importlib.import_module(f"hinterland.cli.{name}")
