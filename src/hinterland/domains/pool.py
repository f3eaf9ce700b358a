"""Processes of one kind: made when they are first needed, then kept."""

import copy
from abc import ABC, abstractmethod
from typing import Any

from hinterland.core import UserError
from hinterland.domains.host import PATIENCE_S, HostProcess
from hinterland.domains.shared import SharedHere, SharedProcess


class SessionPool:
    """The processes of one simulator; those with several copies are kept apart from the others."""

    def __init__(self) -> None:
        self._processes: dict[int, list[HostProcess | SharedHere]] = {}
        self.here = False
        """Whether copies that share one process, and are all there are, share this one."""

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which makes its own."""
        return {**self.__dict__, "_processes": {}}

    @property
    def restarts(self) -> int:
        """How often a lost process was replaced."""
        return sum(process.restarts for process in self._all())

    def close(self) -> None:
        """Ends all processes; those that are asked again begin anew."""
        for process in self._all():
            process.close()

    def _all(self) -> list[HostProcess | SharedHere]:
        return [process for kept in self._processes.values() for process in kept]

    def _first(
        self,
        count: int,
        target: str,
        *arguments: Any,
        patience_s: int = PATIENCE_S,
        each: int = 1,
        name: str | None = None,
    ) -> list[Any]:
        """The first `count` sessions of processes with `each`; missing ones start side by side.

        `name` is theirs in messages, the class's by default.
        """
        kept = self._processes.get(each, [])
        made: list[HostProcess | SharedHere] = []
        for _ in range(-(-count // each) - len(kept)):
            if each == 1:
                one = HostProcess(target, *arguments, patience_s=patience_s, wait=False, name=name)
            elif self.here and each == count:
                one = SharedHere(target, each, *arguments, patience_s=patience_s, name=name)
            else:
                one = SharedProcess(
                    target, each, *arguments, patience_s=patience_s, wait=False, name=name
                )
            made.append(one)
        for process in made:
            process.ready()
        self._processes[each] = kept = kept + made
        return [session for process in kept for session in process.sessions][:count]


class SharingPool(SessionPool, ABC):
    """One whose copies may share a process."""

    def __init__(self) -> None:
        super().__init__()
        self.together = 1
        """Copies that share one of evaluation's processes; changes no result."""
        self._games: SharingPool | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which makes its own."""
        return {**super().__getstate__(), "_games": None}

    def games(self, count: int) -> list[Any]:
        """So many sessions of evaluation, which nobody else is given, `together` in a process."""
        if self._games is None:
            self._games = copy.copy(self)
        return self._games.shared_sessions(count, self.together)

    def _all(self) -> list[HostProcess | SharedHere]:
        return super()._all() + (self._games._all() if self._games is not None else [])

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes with one copy."""
        return self.shared_sessions(count, 1)

    @abstractmethod
    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies."""


class Processes(SharingPool):
    """A `HostSimulator` out of a class of sessions: one object in each process.

    The processes import the module of the class, and nothing else of yours. They are started when
    they are first needed, replaced when they crash or hang, and end with this one.

    Args:
        session: the class; `HostSession` says what its methods are.
        arguments: of its constructor, in every process.
        patience_s: whole seconds after which one call counts as hung.

    Raises:
        UserError: other processes cannot import the class.
    """

    def __init__(self, session: type, *arguments: Any, patience_s: int = PATIENCE_S) -> None:
        super().__init__()
        module, name = session.__module__, session.__qualname__
        if module == "__main__" or not name.isidentifier():
            raise UserError(
                f"Processes: {name} of {module} cannot be imported by other processes; put the "
                "class into a module of its own, outside of functions and other classes"
            )
        self._target, self._arguments, self._patience = f"{module}:{name}", arguments, patience_s

    def shared_sessions(self, count: int, each: int) -> list[Any]:
        """The first `count` sessions of processes with `each` copies."""
        how: dict[str, Any] = {"patience_s": self._patience, "each": each}
        return self._first(count, self._target, *self._arguments, **how)
