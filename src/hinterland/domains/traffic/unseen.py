"""What the agents of a city cannot see, in a sentence each."""

from collections.abc import Iterator, Mapping, Sequence

from hinterland.domains.traffic.approaches import Approaches

SHORT_M = 15.0
"""Two cars. A queue before a shorter approach stands behind the light upstream of it."""


def unseen(approaches: Approaches, lanes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Notes.

    Args:
        approaches: as regions were made with.
        lanes: incoming lanes of every agent, by its light's id.
    """
    short = {
        light: sum(approaches.behind_a_light(lane, SHORT_M) for lane in every)
        for light, every in lanes.items()
    }
    yield from _said(
        short,
        f"lanes with another light less than {SHORT_M:g} m upstream, so that what waits is mostly "
        "before that one, where these do not see it",
    )


def _said(counts: Mapping[str, int], what: str) -> Iterator[str]:
    """One note about the lights that have any."""
    names = [light for light, count in counts.items() if count]
    if names:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"traffic light '{names[0]}'{others}: {what}: {sum(counts.values())}"
