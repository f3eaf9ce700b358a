"""Options of the command line, made from the fields of the configuration."""

import argparse
import errno
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from hinterland.config import PAPER, Config, declared_by
from hinterland.core.bounds import Range, flag_of, kinds_of, number_of, range_of, shortened
from hinterland.core.errors import UserError
from hinterland.core.options import FILE, FILES
from hinterland.domains.checked import not_an_option
from hinterland.domains.declared import light, owners_of

DEMO = "warehouse"
"""The domain of examples and of the library's own benchmarks; preset paper is of it."""
LARGEST = 2.0**53
"""Whole numbers up to here are read as they are written; the bounds of all options lie below."""
_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


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


def path_texts(text: str) -> str:
    """The same of several, with commas in between."""
    return ",".join(path_text(part) for part in text.split(","))


class _Further(argparse.Action):
    """Files that are added to those given before."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Called by argparse for each time the option is given."""
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


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
    parser: argparse.ArgumentParser,
    names: Collection[str] = tuple(Config.model_fields),
    domain: str | None = None,
) -> None:
    """One option per field of `Config`, and of what the domain declares.

    Args:
        parser: to add them to.
        names: of those fields; not the domain, which is the command's argument.
        domain: whose own options follow in a group of their own; None: none do.

    Raises:
        UserError: an option of the domain has a name that the command gives something else.
    """
    for name, field in Config.model_fields.items():
        if name in names and name not in ("domain", "domain_options"):
            _add_option(parser, name, field, PAPER)
    if domain is None or not (own := declared_by(domain).model_fields):
        return
    group = parser.add_argument_group(f"options of {domain}")
    for name, field in own.items():
        try:
            _add_option(group, name, field, {})
        except argparse.ArgumentError as error:
            raise UserError(
                f"domain {domain!r} declares an option {name!r}, which is the command's own: "
                "rename it"
            ) from error


def add_anew_options(parser: argparse.ArgumentParser) -> None:
    """The options of installed domains that an evaluation may give another value."""
    for domain, declared in light():
        if not declared.anew:
            continue
        group = parser.add_argument_group(f"options of {domain} (default: as the run was trained)")
        for name in declared.anew:
            with suppress(argparse.ArgumentError):  # two domains have one of that name
                _add_option(group, name, declared.model_fields[name], {})


def anew_of(options: argparse.Namespace) -> dict[str, Any]:
    """Those that were given."""
    names = {name for _, declared in light() for name in declared.anew}
    return {name: value for name, value in vars(options).items() if name in names}


def _add_option(
    parser: argparse._ActionsContainer, name: str, field: FieldInfo, paper: Mapping[str, Any]
) -> None:
    """The option of one field."""
    allowed = range_of(field)
    kinds = kinds_of(field.annotation) - {type(None)}
    told = [] if field.default is None or field.is_required() else [f"default: {field.default}"]
    told += [f"preset paper: {paper[name]}"] if name in paper else []
    told += [str(allowed)] if allowed != Range() else []
    text = str(field.description or "").replace("%", "%%")
    text += f" ({'; '.join(told)})" if told else ""
    options: dict[str, Any] = {"dest": name, "help": text, "default": argparse.SUPPRESS}
    if bool in kinds:
        options["action"] = argparse.BooleanOptionalAction
    elif all(get_origin(each) is Literal for each in kinds):  # words only
        options["choices"] = tuple(word for each in kinds for word in get_args(each))
    elif FILE in field.metadata:
        options |= {"type": path_text, "metavar": "FILE"}
    elif FILES in field.metadata:
        options |= {"type": path_texts, "metavar": "FILE[,FILE...]", "action": _Further}
    elif name == "network":
        options["metavar"] = "gru|feed-forward|MODULE:FUNCTION"
    elif name == "credit":
        options |= {"type": or_word(real(Range(0, 1))), "metavar": "agent|team|WEIGHT"}
    elif name in ("refresh", "evaluate_every"):
        numbers = whole(allowed.least, allowed.most)
        options |= {"type": or_word(numbers, "auto"), "metavar": "N|auto"}
    elif float in kinds:
        options |= {"type": real(allowed), "metavar": "X"}
    elif int in kinds:
        options |= {"type": whole(allowed.least, allowed.most), "metavar": "N"}
    else:
        options["metavar"] = "TEXT"
    parser.add_argument(flag_of(name), **options)


def named_domain(made: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """What a command's general options say, the domain among them, whatever else is there.

    Args:
        made: the command's parser without help and without the domain's own options.
        arguments: of the command.
    """
    # A flag's value must not be taken for the domain: so the flags of all domains are known here.
    for _, declared in light():
        for name, field in declared.model_fields.items():
            with suppress(argparse.ArgumentError):  # two domains have one of that name
                _add_option(made, name, field, {})
    return made.parse_known_args(arguments)[0]


def check_owners(arguments: Sequence[str], domain: str) -> None:
    """Whether flags are of this domain, as far as another one has them.

    Raises:
        UserError: one is of others only.
    """
    own = declared_by(domain).model_fields
    for word in arguments:
        name = word.partition("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        general = name in own or name in Config.model_fields
        if word.startswith("--") and not general and owners_of(name):
            raise UserError(not_an_option(domain, name))


def given_config(options: argparse.Namespace, domain: str | None = None) -> dict[str, Any]:
    """The configuration fields, and the domain's own options, that were given explicitly."""
    own = declared_by(domain).model_fields if domain is not None else {}
    return {
        name: value
        for name, value in vars(options).items()
        if name in Config.model_fields or name in own
    }
