"""The options of one domain, checked as it declared them."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from hinterland.core import bounds
from hinterland.core.bounds import flag_of
from hinterland.core.errors import UserError
from hinterland.core.options import DomainOptions


def checked(name: str, declared: type[DomainOptions], values: Mapping[str, Any]) -> DomainOptions:
    """The options of domain `name`.

    Raises:
        UserError: one that it has not, or a value out of bounds.
    """
    for option in values:
        if option not in declared.model_fields:
            raise UserError(not_an_option(name, option))
    return bounds.checked(declared, values, {}, f"domain {name!r}")


def not_an_option(name: str, option: str) -> str:
    """That this domain has no such option, and whose it is."""
    from hinterland.domains.declared import owners_of

    if others := owners_of(option):
        of = " and ".join(others)
        return (
            f"{flag_of(option)} is an option of {of} and not of {name}; leave it out, or see "
            f"'hinterland train {name} --help'"
        )
    return (
        f"{flag_of(option)} is not an option of domain {name!r}; see "
        f"'hinterland train {name} --help'"
    )


def rows_by_columns(text: str) -> tuple[int, int] | None:
    """The numbers of "ROWSxCOLUMNS", each 1 to 9,999; None: another form."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", text)
    return None if found is None else (int(found[1]), int(found[2]))


def sizes_like(example: str) -> Callable[[str], str]:
    """For an option whose values have the form of `rows_by_columns`, such as this one."""

    def checked(text: str) -> str:
        if rows_by_columns(text) is None:
            raise ValueError(f"must be ROWSxCOLUMNS, for example {example}; each is 9,999 at most")
        return text

    return checked


def square_side(agents: int, what: str) -> int:
    """The side of a square of so many agents.

    Raises:
        UserError: there is none; `what` says what needs a square number of whom.
    """
    side = math.isqrt(max(agents, 0))
    if side * side != agents or agents < 1:
        below = max(1, side)
        raise UserError(f"--agents {agents}: {what}, for example {below**2} or {(below + 1) ** 2}")
    return side
