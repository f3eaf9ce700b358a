"""Names the commands, and turns whatever ends one early into one sentence and an exit status."""

import argparse
import importlib
import sys
from collections.abc import Sequence

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

USAGE_ERROR, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 when it did what was asked, 2 after bad input, 130 after Ctrl-C.
    """
    from hinterland import __version__

    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="hinterland",
        description="Train very many learning agents in one large coupled system.",
        epilog="'hinterland COMMAND --help' lists a command's options with units and defaults.",
    )
    parser.add_argument("--version", action="version", version=f"hinterland {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    name = parser.parse_args(arguments[:1]).command
    # Each command is a module with `run(arguments)`; the others, and what they need, stay unread.
    command = importlib.import_module(f"hinterland.cli.{name}")
    from hinterland.core.blame import blamed, place_of
    from hinterland.core.errors import UserError

    try:
        return command.run(arguments[1:])
    except UserError as error:
        print(f"hinterland {name}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"hinterland {name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if place_of(error) is None:  # a fault of ours, which its traceback helps to mend
            raise
        print(f"hinterland {name}: {blamed(error)}", file=sys.stderr)
        return USAGE_ERROR
