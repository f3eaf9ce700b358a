"""Options of the command line, made from the fields of the configuration."""

import argparse
import errno
import re
import unicodedata
from collections.abc import Callable, Collection
from math import isnan
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from hinterland.config import Config, Range, number_of, range_of, shortened
from hinterland.core.errors import UserError
from hinterland.presets import PAPER

LARGEST = 2.0**53
"""Whole numbers up to here are read as they are written; the bounds of all options lie below."""
_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}

PATHS = ("net", "routes")
"""Fields of the configuration that name files."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are the one sentence that the command line promises."""

    def error(self, message: str) -> Any:
        """Raises instead of printing the usage."""
        if found := re.fullmatch(r"argument (\S+): (.*: must be .*)", message, re.DOTALL):
            raise UserError(f"{found[1]} {found[2]}")  # as the configuration says it
        raise UserError(f"{message}; see '{self.prog} --help'")


def whole(least: float, most: float) -> Callable[[str], int]:
    """An integer such as 4000000, 4e6, 4M or 250k in that range; for `type=` of an option."""

    def parsed(text: str) -> int:
        word = text.strip().lower()
        suffix = word[-1:] if word[-1:] in _SUFFIXES else ""
        value = number_of(word.removesuffix(suffix)) * _SUFFIXES[suffix]
        if isnan(value) or (abs(value) < LARGEST and value != int(value)):
            raise argparse.ArgumentTypeError(
                f"{shortened(text)!r} is not a whole number (try 1000000, 1e6 or 1M)"
            )
        _check(text, value, Range(least, most))
        return int(value)

    return parsed


def real(allowed: Range) -> Callable[[str], float]:
    """A finite number in that range; for `type=` of an option."""

    def parsed(text: str) -> float:
        value = number_of(text)
        if value - value != 0:
            raise argparse.ArgumentTypeError(f"{shortened(text)!r} is not a finite number")
        _check(text, value, allowed)
        return value

    return parsed


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


def _check(text: str, value: float, allowed: Range) -> None:
    if problem := allowed.problem(value):
        raise argparse.ArgumentTypeError(f"{shortened(text)}: {problem}")


def or_word(parsed: Callable[[str], Any], word: str | None = None) -> Callable[[str], Any]:
    """What `parsed` gives, or that word; without one, any word, on which others decide."""

    def both(text: str) -> Any:
        if text == word:
            return text
        try:
            return parsed(text)
        except argparse.ArgumentTypeError:
            if word is not None or not isnan(number_of(text)):
                raise
            return text

    return both


def add_config_options(
    parser: argparse.ArgumentParser, names: Collection[str] = tuple(Config.model_fields)
) -> None:
    """One option per field of `Config`, but for the domain, which is the command's argument."""
    for name, field in Config.model_fields.items():
        if name == "domain" or name not in names:
            continue
        flag = "--" + name.replace("_", "-")
        text = str(field.description)
        kind, allowed = field.annotation, range_of(name)
        told = [] if field.default is None else [f"default: {field.default}"]
        told += [f"preset paper: {PAPER[name]}"] if name in PAPER else []
        told += [str(allowed)] if allowed != Range() else []
        text += f" ({'; '.join(told)})" if told else ""
        options: dict[str, Any] = {"dest": name, "help": text, "default": argparse.SUPPRESS}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif choices := _choices(kind):
            options["choices"] = choices
        elif name in PATHS:
            options |= {"type": path_text, "metavar": "FILE"}
        elif kind == str | None:
            options["metavar"] = "TEXT"
        elif kind in (float, float | None):
            options |= {"type": real(allowed), "metavar": "X"}
        elif kind in (int, int | None):
            options |= {"type": whole(allowed.least, allowed.most), "metavar": "N"}
        elif name == "credit":
            options |= {"type": or_word(real(Range(0, 1))), "metavar": "agent|team|WEIGHT"}
        else:
            numbers = whole(allowed.least, allowed.most)
            options |= {"type": or_word(numbers, "auto"), "metavar": "N|auto"}
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
