"""Options of the command line, made from the fields of the configuration."""

import argparse
import errno
import re
import unicodedata
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hinterland.config import Config
from hinterland.core.errors import UserError
from hinterland.presets import PAPER

_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}

PATHS = ("net", "routes")
"""Fields of the configuration that name files."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are the one sentence that the command line promises."""

    def error(self, message: str) -> Any:
        """Raises instead of printing the usage."""
        raise UserError(f"{message}; see '{self.prog} --help'")


def whole_number(text: str) -> int:
    """An integer such as 4000000, 4e6, 4M or 250k.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"([+-]?\d+(?:\.\d+)?(?:e\+?\d+)?)([kmg]?)", text.strip().lower())
    value = float(match[1]) * _SUFFIXES[match[2]] if match else 0.5
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number (try 1000000, 1e6 or 1M)")
    return int(value)


def real_number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def path_name(text: str) -> Path:
    """The path of a file or folder, which can be opened and said; ~ is the home folder.

    Raises:
        argparse.ArgumentTypeError: no system would take it, or no terminal show it.
    """
    said = f"{text[:60]!r}{' ...' if len(text) > 60 else ''}"
    if not text:
        raise argparse.ArgumentTypeError("the name of a file or folder is empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise argparse.ArgumentTypeError(
            f"{said} has characters that cannot be shown (control characters, or bytes that are "
            "not UTF-8): rename it"
        )
    try:
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{said}: there is no such home folder") from error
    except OSError as error:  # anything else, such as that it is not there yet, its user says
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise argparse.ArgumentTypeError(f"{said}: {error.strerror}") from error
    return path


def path_text(text: str) -> str:
    """The same, as text."""
    return str(path_name(text))


def number_or_auto(text: str) -> int | str:
    """A whole number, or the word auto."""
    return "auto" if text == "auto" else whole_number(text)


def word_or_number(text: str) -> float | str:
    """A finite number, or a word; the configuration says which words there are."""
    try:
        return real_number(text)
    except argparse.ArgumentTypeError:
        return text


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """One option per field of `Config`, but for the domain, which is the command's argument."""
    for name, field in Config.model_fields.items():
        if name == "domain":
            continue
        flag = "--" + name.replace("_", "-")
        text = str(field.description)
        if field.default is not None:
            text += f" (default: {field.default}"
            text += f"; preset paper: {PAPER[name]})" if name in PAPER else ")"
        options: dict[str, Any] = {"dest": name, "help": text, "default": argparse.SUPPRESS}
        kind = field.annotation
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif choices := _choices(kind):
            options["choices"] = choices
        elif name in PATHS:
            options |= {"type": path_text, "metavar": "FILE"}
        elif kind == str | None:
            options["metavar"] = "TEXT"
        elif kind == float | None:
            options |= {"type": real_number, "metavar": "X"}
        elif kind is int or kind == int | None:
            options |= {"type": whole_number, "metavar": "N"}
        elif kind is float:
            options |= {"type": real_number, "metavar": "X"}
        elif name == "credit":
            options |= {"type": word_or_number, "metavar": "agent|team|WEIGHT"}
        else:
            options |= {"type": number_or_auto, "metavar": "N|auto"}
        parser.add_argument(flag, **options)


def _choices(kind: Any) -> tuple[str, ...]:
    """The words that a field allows, if it allows words only (or, unset, None)."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    inner = [part for part in get_args(kind) if part is not type(None)]
    return _choices(inner[0]) if len(inner) == 1 else ()


def given_config(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration fields that were given explicitly."""
    return {name: value for name, value in vars(options).items() if name in Config.model_fields}
