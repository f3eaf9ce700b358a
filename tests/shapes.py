"""What checks the shapes in annotations at run time: beartype, behind jaxtyping's import hook.

Only shapes and types of elements: of what class a thing is, ty has checked before any test ran, and
some tests give on purpose what an annotation forbids. NumPy's arrays pass where JAX's are asked
for, as JAX takes both, and so do `jax.eval_shape`'s stand-ins.
"""

import functools
import operator
import types
from collections.abc import Callable
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from beartype import beartype
from beartype.door import is_bearable
from jaxtyping import AbstractArray

F = TypeVar("F", bound=Callable)
WAY = tuple(f"hinterland.{room}" for room in ("core", "influence", "learn", "rollout"))
CONTAINERS = (tuple, list, dict)
NUMBER = bool | int | float
"""What JAX takes for an array without axes."""


def checked(function: F) -> F:
    """The function, whose arguments and result must have the shapes that it says they have."""
    hints = {name: _shape_of(hint) for name, hint in function.__annotations__.items()}
    if all(hint is Any for hint in hints.values()):
        return function
    function.__annotations__ = hints
    return beartype(function)


def _shape_of(hint: Any) -> Any:
    """What of a hint is about shapes; `Any` if nothing is."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if isinstance(kind, type) and issubclass(kind, AbstractArray):
        shape = kind.dtype[Any, kind.dim_str]
        return shape if kind.dim_str else shape | NUMBER
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return Any if _changes_axes(kind) else _fields_of(kind)
    shapes = tuple(part if part in (..., type(None)) else _shape_of(part) for part in parts)
    if kind in (Union, types.UnionType):
        return Any if Any in shapes else functools.reduce(operator.or_, shapes)
    if kind in CONTAINERS and any(shape not in (Any, ...) for shape in shapes):
        return kind[shapes]
    return Any


def _changes_axes(kind: type) -> bool:
    """Whether named tuples of this kind are stacked and cut under one name.

    Trajectories, datasets and learners are, on their way through the rooms; a simulator's states
    and the generic steps around them are not.
    """
    return kind.__module__.startswith(WAY) and Generic not in kind.__mro__


def _fields_of(kind: type) -> Any:
    """The named tuples of a kind whose fields have the shapes that it says they have."""
    hints = {name: _shape_of(hint) for name, hint in kind.__annotations__.items()}
    shapes = {name: hint for name, hint in hints.items() if hint is not Any}
    return _Fields(kind.__name__, (), {"kind": kind, "shapes": shapes}) if shapes else Any


class _Fields(type):
    """The class of a class; an instance of that is whatever has the right fields."""

    kind: type
    shapes: dict[str, Any]

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, self.kind) and not self._wrong(value)

    def __instancecheck_str__(self, value: Any) -> str:
        """What beartype says of a value that is no instance."""
        if not isinstance(value, self.kind):
            return f"{value!r} is no {self.kind.__name__}"
        return "; ".join(
            f"{self.kind.__name__}.{name} has {_told(getattr(value, name))}, not {shape}"
            for name, shape in self._wrong(value).items()
        )

    def _wrong(self, value: Any) -> dict[str, Any]:
        """Names of the fields with other shapes, and the right ones."""
        return {
            name: shape
            for name, shape in self.shapes.items()
            if not is_bearable(getattr(value, name), shape)
        }


def _told(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"{value.dtype}{list(shape)}"
