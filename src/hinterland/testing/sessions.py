"""Sessions that are asked the same at the same time."""

from collections.abc import Sequence
from typing import Any

from hinterland.core import HostSession


def ask_both(sessions: Sequence[HostSession], method: str, *arguments: Any) -> list[Any]:
    """What each answers; where one raises, no call of another is left under way."""
    for session in sessions:
        session.ask(method, *arguments)
    answers: list[Any] = []
    faults: list[Exception] = []
    for session in sessions:
        try:
            answers.append(session.answer())
        except Exception as error:
            faults.append(error)
    if faults:
        raise faults[0]
    return answers
