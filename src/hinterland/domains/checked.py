"""The options of one domain, checked as it declared them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hinterland.core.bounds import flag_of, problem, shortened, whole_where_whole
from hinterland.core.errors import UserError
from hinterland.core.options import DomainOptions


def checked(name: str, declared: type[DomainOptions], values: Mapping[str, Any]) -> DomainOptions:
    """The options of domain `name`.

    Raises:
        UserError: one that it has not, or a value out of bounds.
    """
    fields = declared.model_fields
    for option in values:
        if option not in fields:
            raise UserError(not_an_option(name, option))
    given = {option: whole_where_whole(fields[option], value) for option, value in values.items()}
    try:
        return declared(**given)
    except ValidationError as error:
        first: Any = error.errors()[0]
        if not first["loc"]:  # of several together
            raise UserError(f"domain {name!r}: {problem(None, first)}") from None
        option = str(first["loc"][0])
        said = problem(fields[option], first)
        raise UserError(f"{flag_of(option)} {shortened(first['input'])}: {said}") from None


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
