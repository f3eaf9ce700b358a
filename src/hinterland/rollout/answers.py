"""What sessions of host simulators answer: stacked over copies, and checked at every step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hinterland.core import UserError

NUMBERS, WHOLE, TRUTHS, FLAGS = "biuf", "iu", "b", "biu"
"""Kinds of NumPy types. Flags are truths, or 0 and 1 in their place."""
_WORDS = {NUMBERS: "numbers", WHOLE: "integers", TRUTHS: "truths (bool)", FLAGS: "truths (bool)"}


def gathered(
    system: str, seen: Sequence[Any], name: str, shape: tuple[int, ...], kinds: str = NUMBERS
) -> np.ndarray:
    """One part of every session's answer, [copy, *shape], in the sessions' own type.

    Args:
        system: its name, for messages.
        seen: what each session's `reset` or `step` returned.
        name: of the part.
        shape: that it must have.
        kinds: that its type must be one of.

    Raises:
        UserError: it is missing, has another shape or type, or is not finite.
    """
    try:
        found = np.stack([np.asarray(one[name]) for one in seen])
    except (KeyError, TypeError, ValueError):
        found = np.empty(0)
    fits = found.shape[1:] == shape and len(found) == len(seen) and found.dtype.kind in kinds
    if fits and (found.dtype.kind != "f" or _finite(found).all()):
        return found
    return np.stack([_part(system, one, name, shape, kinds) for one in seen])  # says whose it is


def _part(system: str, one: Any, name: str, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    if not isinstance(one, Mapping):
        raise UserError(
            f"{system}: reset and step of a session return a dictionary, not a "
            f"{type(one).__name__}; see hinterland.core.HostSession"
        )
    wanted = f"{_WORDS[kinds]} of shape {list(shape)}" if shape else f"one of {_WORDS[kinds]}"
    if name not in one:
        raise UserError(
            f"{system}: what a session's reset or step gives lacks {name!r} ({wanted}); it gives "
            f"{', '.join(map(repr, one)) or 'nothing'}; see hinterland.core.HostSession"
        )
    try:
        found = np.asarray(one[name])
    except (TypeError, ValueError) as error:
        raise UserError(f"{system}: {name} is not one array of numbers: {error}") from error
    if found.shape != shape:
        raise UserError(
            f"{system}: {name} has shape {list(found.shape)}, expected {list(shape)}; mend what "
            "the session gives, or the domain's spec"
        )
    if found.dtype.kind not in kinds:
        raise UserError(
            f"{system}: {name} has type {found.dtype}, expected {_WORDS[kinds]}; mend what the "
            "session gives"
        )
    if not (finite := _finite(found)).all():
        place = np.argwhere(~finite)[0].tolist()
        at = f", at {place}" if place else ""
        raise UserError(
            f"{system}: {name} is not finite (NaN or infinite{at}); mend the environment, then "
            "resume from the last checkpoint"
        )
    return found


def _finite(found: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # networks compute in 32 bits
        return np.isfinite(found.astype(np.float32, copy=False))


def figures_of(system: str, each: Sequence[Any]) -> list[dict[str, float]]:
    """What each session's `metrics` gave.

    Raises:
        UserError: they are not dictionaries of single numbers by the same names.
    """
    for found in each:
        if not isinstance(found, Mapping):
            kind = type(found).__name__
            raise UserError(f"{system}: metrics of a session gives figures by name, not a {kind}")
        if set(found) != set(each[0]):
            odd = sorted(map(str, set(found) ^ set(each[0])))[0]
            raise UserError(f"{system}: metrics of a session gives {odd!r} in some episodes only")
        for name, value in found.items():
            if np.ndim(value) or np.asarray(value).dtype.kind not in NUMBERS:
                raise UserError(
                    f"{system}: metrics of a session gives {name!r} as {value!r}, expected a number"
                )
    return [dict(found) for found in each]
