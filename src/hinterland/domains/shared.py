"""Several simulators in one process, each a session of its own: fewer messages, fewer wake-ups.

Worth it where a step is short beside a message and a change of process, and the simulator keeps no
state outside of its object. Calls that are asked one after another travel together.
"""

from collections.abc import Sequence
from typing import Any

from hinterland.core import HostSession, UserError
from hinterland.domains.host import Calls, HostProcess

Call = tuple[int, str, tuple, dict]
"""Number of the simulator, method, arguments, named arguments."""


class SharedSession(Calls):
    """One of the simulators; a `core.HostSession`.

    Args:
        process: where it is.
        number: which of the process's simulators.
    """

    def __init__(self, process: "SharedProcess", number: int) -> None:
        self._process, self._number = process, number

    @property
    def restarts(self) -> int:
        """How often the process was lost and replaced, with all of its simulators."""
        return self._process.restarts

    @property
    def pid(self) -> int:
        """Of the process that is there now."""
        return self._process.pid

    def forget(self) -> None:
        """As `HostProcess.forget`, for this simulator only."""
        self._process.forget_one(self._number)

    def ask(self, method: str, *arguments: Any, **named: Any) -> None:
        """As `HostProcess.ask`; sent when all simulators are asked, or an answer is waited for."""
        self._process.ask_one((self._number, method, arguments, named))

    def answer(self) -> Any:
        """As `HostProcess.answer`."""
        return self._process.answer_of(self._number)

    def abandon(self) -> None:
        """As `HostProcess.abandon`, with all simulators of the process."""
        self._process.abandon()


class SharedProcess(HostProcess):
    """A process with several simulators, each asked through one of `sessions`.

    Args:
        target: "module:class" of the simulator.
        count: how many.
        arguments: of the constructor of each.
        patience_s: whole seconds after which one call counts as hung.
        wait: until the simulators stand; else `ready` must be called before anything else.

    Raises:
        UserError: as `HostProcess`.
    """

    def __init__(
        self, target: str, count: int, *arguments: Any, patience_s: int, wait: bool = True
    ) -> None:
        self._simulator = target
        self._asked: dict[int, Call] = {}
        self._answers: dict[int, tuple[str, Any]] = {}
        self._sessions = [SharedSession(self, number) for number in range(count)]
        super().__init__(
            "hinterland.domains.several:Several", target, count, *arguments,
            patience_s=count * patience_s, wait=wait,
        )  # fmt: skip

    @property
    def sessions(self) -> Sequence[HostSession]:
        """One for each simulator."""
        return self._sessions

    def forget_one(self, number: int) -> None:
        """The next call of this simulator makes everything before it irrelevant."""
        self._journal = [request for request in self._journal if _calls_of(request)[0][0] != number]

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
        if kind == "error":
            raise UserError(f"{self._name}: {result}")
        return result

    def _send_asked(self) -> None:
        self.ask("answers", list(self._asked.values()))

    def _remember(self, request: tuple[str, tuple, dict], result: Any) -> None:
        # One by one, so that each can be forgotten by itself; what failed left nothing behind.
        for call, (kind, _) in zip(_calls_of(request), result, strict=True):
            if kind == "result":
                self._journal.append(("answers", ([call],), {}))

    @property
    def _name(self) -> str:
        return self._simulator.split(":")[1]

    def _method(self, request: tuple[str, tuple, dict]) -> str:
        return ", ".join(sorted({call[1] for call in _calls_of(request)}))


def _calls_of(request: tuple[str, tuple, dict]) -> list[Call]:
    """What travelled as one message; what is remembered has one call each."""
    return request[1][0]
