"""What the fields of a configuration may hold, and what is wrong with a value, in words."""

import re
from collections.abc import Iterator, Mapping
from math import inf, log10, nan
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hinterland.core.errors import UserError

Model = TypeVar("Model", bound=BaseModel)
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Range(NamedTuple):
    """What a number may be."""

    least: float = -inf
    most: float = inf
    above: bool = False
    """Whether it must be more than `least`."""

    def problem(self, value: float) -> str | None:
        """What is wrong with it, if anything is: "must be ..."."""
        if value < self.least or (self.above and value == self.least):
            return f"must be {'above' if self.above else 'at least'} {self.least:,}"
        return None if value <= self.most else f"must be at most {self.most:,}"

    def __str__(self) -> str:
        if self.most == inf:
            return f"{'above' if self.above else 'at least'} {self.least:,}"
        if self.above:
            return f"above {self.least:,}, up to {self.most:,}"
        return f"{self.least:,} to {self.most:,}"


_KINDS = {
    # By the checker's word for what went wrong.
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
}


def _members(annotation: Any) -> Iterator[tuple[Any, list[Any]]]:
    """(type, what bounds it) of all that an annotation allows; a Literal counts as one type."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        limits = [y for x in parts[1:] for y in (x.metadata if isinstance(x, FieldInfo) else [x])]
        yield from ((kind, [*limits, *inner]) for kind, inner in _members(parts[0]))
    elif get_origin(annotation) in (Union, UnionType):
        for part in parts:
            yield from _members(part)
    else:
        yield annotation, []


def kinds_of(annotation: Any) -> set[Any]:
    """The types that an annotation allows: `int | None` gives int and NoneType; Literals as one."""
    return {kind for kind, _ in _members(annotation)}


def range_of(field: FieldInfo) -> Range:
    """What the number in a field may be; of those with a word beside it, the number's part."""
    limits = [*field.metadata, *(x for _, each in _members(field.annotation) for x in each)]
    found: dict[str, float] = {
        word: getattr(x, word) for x in limits for word in ("ge", "gt", "le") if hasattr(x, word)
    }
    least = found.get("gt", found.get("ge", -inf))
    return Range(least, found.get("le", inf), "gt" in found)


def checked(
    kind: type[Model], values: Mapping[str, Any], said: Mapping[str, str], of: str = ""
) -> Model:
    """A model of these values; TOML's 1e6 is a whole number where a field holds whole ones.

    Args:
        kind: the model.
        values: by field.
        said: of some fields, what is wrong with a bad value, where the checker's word is no help.
        of: what the model is of: begins the sentence about several fields together.

    Raises:
        UserError: a value out of bounds, in one sentence.
    """
    fields = kind.model_fields
    whole = {
        name: isinstance(x, float) and x.is_integer() and int in kinds_of(fields[name].annotation)
        for name, x in values.items()
    }
    try:
        return kind(**{name: int(x) if whole[name] else x for name, x in values.items()})
    except ValidationError as error:
        first: Any = error.errors()[0]
    if not first["loc"]:
        raise UserError(f"{of}: {_problem(None, first)}")
    name = str(first["loc"][0])
    what = said.get(name) or _problem(fields[name], first)
    raise UserError(f"{flag_of(name)} {shortened(first['input'])}: {what}")


def _problem(field: FieldInfo | None, error: Any) -> str:
    """What is wrong with a field, from the checker's finding."""
    if field is not None and error["type"].startswith(("greater_than", "less_than")):
        return range_of(field).problem(error["input"]) or error["msg"].lower()
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return _KINDS.get(error["type"], error["msg"].lower())


def number_of(text: str) -> float:
    """A number written with ASCII digits, such as 12, 0.5 or 1e6; NaN if it is none."""
    return float(text) if NUMBER.fullmatch(text.strip()) else nan


def shortened(value: Any) -> str:
    """A value as a sentence can quote it."""
    if isinstance(value, int) and value.bit_length() > 100:
        return f"(a number of {int(value.bit_length() * log10(2)) + 1:,} digits)"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text):,} characters)"


def flag_of(name: str) -> str:
    """How the command line calls a field."""
    return "--" + name.replace("_", "-")
