"""Systems on hosts: what their sessions answer, stacked over copies and checked at every step."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hinterland.core import UserError, View, global_simulator_of, is_game, is_host
from hinterland.rollout.systems import System, TracedSystem, shown

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
        UserError: they are not dictionaries of single finite numbers, or None, by the same names.
    """
    for found in each:
        if not isinstance(found, Mapping):
            kind = type(found).__name__
            raise UserError(f"{system}: metrics of a session gives figures by name, not a {kind}")
        if set(found) != set(each[0]):
            odd = sorted(map(str, set(found) ^ set(each[0])))[0]
            raise UserError(f"{system}: metrics of a session gives {odd!r} in some episodes only")
        for name, value in found.items():
            if value is None:  # nobody was there of whom it could be
                continue
            if np.ndim(value) or np.asarray(value).dtype.kind not in NUMBERS:
                raise UserError(
                    f"{system}: metrics of a session gives {name!r} as {value!r}, expected a number"
                )
            if not np.isfinite(value):
                raise UserError(
                    f"{system}: metrics of a session gives {name!r} as {value}, which is not finite"
                )
    return [dict(found) for found in each]


Seen = Sequence[dict[str, Any]]
"""What each session told last."""


class HostSystem(System):
    """One outside of JAX, of agents or of entities: what its sessions answer, side by side.

    Its methods raise `UserError` where a part of an answer is missing, has a wrong shape or type,
    or is not finite.
    """

    is_host, of_games = True, False

    def __init__(self, domain: Any, central: bool = False) -> None:
        super().__init__(domain, global_simulator_of(domain), central)
        self.length = self.horizon

    def look(self, seen: Seen) -> View:
        """What every copy shows."""
        count, slots, actions = len(seen), self.slots, self.spec.actions
        observation = self._floats(seen, "observation", (slots, self.spec.observation))
        if self.of_entities:
            alive = self._flags(seen, "alive", (slots,))
            mask = self._flags(seen, "mask", (slots, actions))
        else:
            alive = np.ones((count, slots), bool)
            mask = np.broadcast_to(self.possible, (count, slots, actions))
        central = self._floats(seen, "central", (self.central,)) if self.central else None
        return shown(observation, mask, alive, central)

    def rewards(self, moved: Seen) -> np.ndarray:
        """[copy, slots]"""
        return self._floats(moved, "reward", (self.slots,))

    def ends(self, moved: Seen) -> tuple[np.ndarray, np.ndarray]:
        """(terminated, truncated by the simulator itself) [session]"""
        terminated = gathered(self.name, moved, "terminated", (), TRUTHS)
        told = [{"truncated": False, **one} for one in moved]
        return terminated, gathered(self.name, told, "truncated", (), TRUTHS)

    def cut(self, moved: Seen) -> np.ndarray:
        """[copy, slots], who was truncated alone."""
        nobody = np.zeros(self.slots, bool)
        if any("cut" in one for one in moved):
            return self._flags([{"cut": nobody, **one} for one in moved], "cut", nobody.shape)
        return self.by_slot(np.zeros(len(moved), bool))

    def by_session(self, actions: Any) -> Any:
        """The actions of all copies, [session, ...]."""
        return actions

    def sent(self, actions: Any, place: int) -> Any:
        """The actions of one session, as its `step` takes them."""
        # int32 always, however narrowly they are kept: simulators may compute with them.
        return np.asarray(actions[place], np.int32)

    def _floats(self, seen: Seen, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return gathered(self.name, seen, name, shape).astype(np.float32)

    def _flags(self, seen: Seen, name: str, shape: tuple[int, ...]) -> np.ndarray:
        return gathered(self.name, seen, name, shape, FLAGS).astype(bool)


class GameSystem(HostSystem):
    """Games of several sides, each of which is a copy."""

    of_games = True

    def __init__(self, domain: Any, central: bool = False) -> None:
        super().__init__(domain, central)
        self.sides, self.length = domain.sides, domain.length

    def look(self, seen: Seen) -> View:
        """As `HostSystem.look`; observations and masks are pytrees."""
        names = ("observation", "masks", "alive", "acting")
        parts = ([one[name] for one in seen] for name in names)
        observation, mask, alive, acting = (
            jax.tree.map(lambda *x: np.concatenate(x), *part) for part in parts
        )
        return View(observation, mask, alive, acting & alive, np.zeros((len(alive), 0), np.float32))

    def rewards(self, moved: Seen) -> np.ndarray:
        """[copy, slots]"""
        return np.concatenate([one["reward"] for one in moved])

    def by_session(self, actions: Any) -> Any:
        """[session, side, ...]"""
        return jax.tree.map(lambda x: x.reshape(-1, self.sides, *x.shape[1:]), actions)

    def sent(self, actions: Any, place: int) -> Any:
        """As `HostSystem.sent`, of all sides."""
        return jax.tree.map(lambda x: x[place], actions)


def whole_system(domain: Any, central: bool = False) -> Any:
    """The system of a domain's global simulator, traced or on hosts."""
    on_host = GameSystem if is_game(domain) else HostSystem
    return (on_host if is_host(global_simulator_of(domain)) else TracedSystem)(domain, central)
