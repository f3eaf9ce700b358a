"""What the fields of a configuration may hold, and what is wrong with a value, in words."""

import re
from collections.abc import Callable
from math import inf, log10, nan
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo


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


def kinds_of(annotation: Any) -> set[Any]:
    """The types that an annotation allows: `int | None` gives int and NoneType; Literals as one."""
    if get_origin(annotation) is Literal:
        return {annotation}
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    parts = get_args(annotation)
    return set().union(*map(kinds_of, parts)) if parts else {annotation}


def _limits(annotation: Any) -> list[Any]:
    """What stands beside the types in an annotation."""
    if get_origin(annotation) is Literal:
        return []
    if get_origin(annotation) is Annotated:
        kind, *beside = get_args(annotation)
        here = [y for x in beside for y in (x.metadata if isinstance(x, FieldInfo) else [x])]
        return [*here, *_limits(kind)]
    return [limit for part in get_args(annotation) for limit in _limits(part)]


def range_of(field: FieldInfo) -> Range:
    """What the number in a field may be; of those with a word beside it, the number's part."""
    found: dict[str, float] = {
        word: getattr(limit, word)
        for limit in [*field.metadata, *_limits(field.annotation)]
        for word in ("ge", "gt", "le")
        if hasattr(limit, word)
    }
    least = found.get("gt", found.get("ge", -inf))
    return Range(least, found.get("le", inf), "gt" in found)


def problem(field: FieldInfo | None, error: Any) -> str:
    """What is wrong with a field, from the checker's finding."""
    if field is not None and error["type"].startswith(("greater_than", "less_than")):
        return range_of(field).problem(error["input"]) or error["msg"].lower()
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return _KINDS.get(error["type"], error["msg"].lower())


def number_of(text: str) -> float:
    """A number written with ASCII digits, such as 12, 0.5 or 1e6; NaN if it is none."""
    written = re.fullmatch(
        r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", text.strip().lower()
    )
    return float(text) if written else nan


def shortened(value: Any) -> str:
    """A value as a sentence can quote it."""
    if isinstance(value, int) and value.bit_length() > 100:
        return f"(a number of {int(value.bit_length() * log10(2)) + 1:,} digits)"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text):,} characters)"


def whole_where_whole(field: FieldInfo, value: Any) -> Any:
    """The value; TOML's 1e6 as a whole number where the field holds whole ones."""
    wanted = int in kinds_of(field.annotation)
    return int(value) if wanted and isinstance(value, float) and value.is_integer() else value


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


def flag_of(name: str) -> str:
    """How the command line calls a field."""
    return "--" + name.replace("_", "-")
