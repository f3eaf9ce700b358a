"""The child's side of `shared.SharedProcess`: several simulators of one kind, in one process."""

from typing import Any

from hinterland.domains.worker import class_of, method_of, told


class Several:
    """So many objects of one class, asked in turn, or, if it can, all for a step at once.

    Args:
        target: "module:class" of the simulator; `core.HostSimulator` says what `step_all` is.
        count: how many.
        arguments: of the constructor of each.
    """

    def __init__(self, target: str, count: int, *arguments: Any) -> None:
        make = class_of(target)
        self._step_all = getattr(make, "step_all", None)
        self._simulators = [make(*arguments) for _ in range(count)]

    def answers(self, calls: list[tuple[int, str, tuple, dict]]) -> list[tuple[str, Any]]:
        """("result", what a method returned), or `worker.told` of what it raised, for each call.

        Args:
            calls: (number of the simulator, method, arguments, named arguments).
        """
        steps = [call[2][0] for call in calls if call[1] == "step"]
        if self._step_all is None or len(steps) < len(self._simulators):
            return [self._answer(*call) for call in calls]
        chosen = [self._simulators[call[0]] for call in calls]
        try:
            return [("result", found) for found in self._step_all(chosen, steps)]
        except Exception as error:
            return [told(error)] * len(calls)

    def _answer(self, number: int, method: str, arguments: tuple, named: dict) -> tuple[str, Any]:
        try:
            return "result", method_of(self._simulators[number], method)(*arguments, **named)
        except Exception as error:  # told to the parent, who raises it for this one only
            return told(error)
