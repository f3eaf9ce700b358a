"""Several simulators in one process, each a session of its own: fewer messages, fewer wake-ups.

Worth it where a step is short beside a message and a change of process, and the simulator keeps no
state outside of its object. Calls that are asked one after another travel together.
"""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from hinterland.domains.host import Calls, HostProcess
from hinterland.domains.several import Several
from hinterland.domains.worker import START_S, raise_what_was_told, told

Call = tuple[int, str, tuple, dict]
"""Number of the simulator, method, arguments, named arguments."""


class SharedSession(Calls):
    """One of the simulators; a `core.HostSession`.

    Args:
        shared: those that it is one of.
        number: which of them.
    """

    def __init__(self, shared: "_Together", number: int) -> None:
        self._shared, self._number = shared, number

    @property
    def restarts(self) -> int:
        """How often the process was lost and replaced, with all of its simulators."""
        return self._shared.restarts

    @property
    def pid(self) -> int:
        """Of the process that is there now."""
        return self._shared.pid

    def forget(self) -> None:
        """As `HostProcess.forget`, for this simulator only."""
        self._shared.forget_one(self._number)

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """As `HostProcess.ask`; sent when all simulators are asked, or an answer is waited for."""
        self._shared.ask_one((self._number, method, arguments, named))

    def answer(self) -> Any:
        """As `HostProcess.answer`."""
        return self._shared.answer_of(self._number)

    def abandon(self) -> None:
        """As `HostProcess.abandon`, with all simulators of the process."""
        self._shared.abandon()


class _Together(ABC):
    """Collects the calls of several simulators; `ask` and `answer` take a list of them.

    Args:
        target: "module:class" of the simulators.
        count: how many.
        name: of one in messages; the class's by default.
    """

    restarts: int
    _pending: Any

    def __init__(self, target: str, count: int, name: str | None = None) -> None:
        self._simulator = name or target.split(":")[1]
        self._asked: dict[int, Call] = {}
        self._answers: dict[int, tuple[str, Any]] = {}
        self._sessions = [SharedSession(self, number) for number in range(count)]

    @property
    def sessions(self) -> Sequence[Calls]:
        """One for each simulator."""
        return self._sessions

    @property
    @abstractmethod
    def pid(self) -> int:
        """Of the process that is there now."""

    @abstractmethod
    def ask(self, method: str, calls: list[Call]) -> None:
        """Starts `Several.answers`."""

    @abstractmethod
    def answer(self) -> list[tuple[str, Any]]:
        """What it gave."""

    @abstractmethod
    def forget_one(self, number: int) -> None:
        """The next call of this simulator makes everything before it irrelevant."""

    @abstractmethod
    def abandon(self) -> None:
        """Ends the process for good."""

    def ask_one(self, call: Call) -> None:
        """Starts a call, together with those of the others."""
        number = call[0]
        assert number not in self._asked, "a call is under way"
        assert number not in self._answers, "an answer was not waited for"
        self._asked[number] = call
        if len(self._asked) == len(self._sessions):
            self._send_asked()

    def answer_of(self, number: int) -> Any:
        """What that simulator's call gave; errors as `HostProcess.answer`."""
        if number not in self._answers:
            if self._pending is None:
                self._send_asked()
            numbers, self._asked = list(self._asked), {}
            self._answers |= dict(zip(numbers, self.answer(), strict=True))
        kind, result = self._answers.pop(number)
        raise_what_was_told(self._simulator, kind, result)
        return result

    def _send_asked(self) -> None:
        self.ask("answers", list(self._asked.values()))


class SharedProcess(HostProcess, _Together):
    """A process with several simulators, each asked through one of `sessions`.

    Args:
        target: "module:class" of the simulator.
        count: how many.
        arguments: of the constructor of each.
        patience_s: whole seconds after which one call counts as hung.
        wait: until the simulators stand; else `ready` must be called before anything else.
        name: of a simulator in messages; the class's by default.

    Raises:
        UserError: as `HostProcess`.
    """

    def __init__(
        self,
        target: str,
        count: int,
        *arguments: Any,
        patience_s: int,
        wait: bool = True,
        name: str | None = None,
    ) -> None:
        _Together.__init__(self, target, count, name)
        HostProcess.__init__(
            self, "hinterland.domains.several:Several", target, count, *arguments,
            patience_s=count * patience_s, wait=wait, name=self._simulator,
        )  # fmt: skip

    @property
    def sessions(self) -> Sequence[Calls]:
        """One for each simulator."""
        return self._sessions

    def forget_one(self, number: int) -> None:
        """The next call of this simulator makes everything before it irrelevant."""
        self._journal = [request for request in self._journal if _calls_of(request)[0][0] != number]

    def _remember(self, request: tuple[str, tuple, dict], result: Any) -> None:
        # One by one, so that each can be forgotten by itself; what failed left nothing behind.
        for call, (kind, _) in zip(_calls_of(request), result, strict=True):
            if kind == "result":
                self._journal.append(("answers", ([call],), {}))

    def _method(self, request: tuple[str, tuple, dict]) -> str:
        return ", ".join(sorted({call[1] for call in _calls_of(request)}))


class SharedHere(_Together):
    """Several simulators in this very process, which has nothing else to lose: a worker's own.

    Whoever started the process replaces it should they crash, or hang, and leads it to where it
    was; so nothing is remembered here.

    Args:
        target: "module:class" of the simulators.
        count: how many.
        arguments: of the constructor of each.
        patience_s: whole seconds after which one call of one of them counts as hung; the process
            is ended by an alarm then.
        name: of a simulator in messages; the class's by default.

    Raises:
        UserError: a constructor raised.
    """

    restarts = 0

    def __init__(
        self, target: str, count: int, *arguments: Any, patience_s: int, name: str | None = None
    ) -> None:
        super().__init__(target, count, name)
        self._patience, self._pending = count * patience_s, None
        signal.alarm(max(START_S, self._patience))
        try:
            self._simulators = Several(target, count, *arguments)
        except Exception as error:
            raise_what_was_told(self._simulator, *told(error))
        finally:
            signal.alarm(0)

    @property
    def pid(self) -> int:
        """Of this process."""
        return os.getpid()

    def ready(self) -> None:
        """They stand."""

    def forget_one(self, number: int) -> None:
        """Nothing was remembered."""

    def ask(self, method: str, calls: list[Call]) -> None:
        """What is worked on in `answer`."""
        del method
        self._pending = calls

    def answer(self) -> list[tuple[str, Any]]:
        """As `Several.answers`."""
        calls, self._pending = self._pending, None
        signal.alarm(self._patience)
        try:
            return self._simulators.answers(calls)
        finally:
            signal.alarm(0)

    def close(self) -> None:
        """They end with the process."""

    def abandon(self) -> None:
        """They end with the process, which somebody else abandons."""


def _calls_of(request: tuple[str, tuple, dict]) -> list[Call]:
    """What travelled as one message; what is remembered has one call each."""
    return request[1][0]
