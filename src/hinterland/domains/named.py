"""MODULE:NAME on the command line: a factory of domains, or a function that makes environments."""

import importlib
import re
from collections.abc import Callable
from typing import Any

from hinterland.core import UserError
from hinterland.core.blame import blamed, blaming


def split(text: str, what: str) -> tuple[str, str]:
    """(module, name).

    Args:
        text: as the user gave it.
        what: it is, for messages, such as "domain 'm:f'".

    Raises:
        UserError: it is none.
    """
    module, _, name = text.partition(":")
    parts = module.split(".")
    if name.isidentifier() and all(map(str.isidentifier, parts)) and parts[1:] != ["py"]:
        return module, name
    # Somebody gave the module's file, or a name that only works inside of a package.
    file = re.sub(r"\.py$", "", module).replace("/", ".").strip(".")
    guess = f"{file}:{name}"
    hint = f", such as {guess}" if re.fullmatch(r"\w+(\.\w+)*:\w+", guess) else ""
    raise UserError(
        f"{what}: must be MODULE:NAME, a module as Python imports it from the current folder, and "
        f"a function in it{hint}"
    )


def load(text: str, what: str) -> Callable[..., Any]:
    """The function, or class, that it names; its module is imported.

    Raises:
        UserError: the form is another, the module cannot be imported, or there is no such function.
    """
    module_name, name = split(text, what)
    try:
        with blaming(f"{what}: importing module {module_name!r}"):
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise UserError(f"{what}: cannot import module {module_name!r}: {error}") from error
    found = getattr(module, name, None)
    if found is None:
        raise UserError(f"{what}: module {module_name!r} has no function {name!r}")
    if not callable(found):
        raise UserError(f"{what}: {name!r} is {kind_of(found)} and no function")
    return found


def call(function: Callable[..., Any], what: str, *arguments: Any, **named: Any) -> Any:
    """What it returns.

    Raises:
        UserError: it takes other arguments, or raises, or ends the process.
    """
    try:
        with blaming(what, function):
            return function(*arguments, **named)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if (getattr(function, "__module__", "") or "").startswith("hinterland."):
            raise  # a fault of ours
        raise UserError(f"{what}: {blamed(error)}") from error


def kind_of(value: Any) -> str:
    """What a value is, in messages."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"{type(value).__name__!r}"
