"""What the agents of a city cannot see and cannot show, in a sentence each."""

from collections.abc import Iterator, Mapping, Sequence

from hinterland.domains.traffic.approaches import Approaches
from hinterland.domains.traffic.netfile import Network

SHORT_M = 15.0
"""Two cars. A queue before a shorter approach stands behind the light upstream of it."""


def unseen(
    network: Network,
    approaches: Approaches,
    lanes: Mapping[str, Sequence[str]],
    greens: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """Notes.

    Args:
        network: the roads.
        approaches: as regions were made with.
        lanes: incoming lanes of every agent, by its light's id.
        greens: states of its green phases, by the same.
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
    closed = {
        light: len(
            {
                lane
                for one in network.connections[light]
                if (lane := f"{one['from']}_{one['fromLane']}") in network.lanes
            }.difference(every)
        )
        for light, every in lanes.items()
    }
    yield from _said(
        closed,
        "lanes that are not for cars (bus lanes, tracks, cycle ways), on which nobody is seen",
    )
    hidden = {
        light: len(
            {
                index
                for phase in network.programs[light]
                for index, shown in enumerate(phase["state"])
                if shown in "Gg"
            }
            - {index for state in states for index, shown in enumerate(state) if shown in "Gg"}
        )
        for light, states in greens.items()
    }
    yield from _said(
        hidden,
        "ways through the junction that are green in the network's own program, but in no phase "
        "that agents can show",
    )


def _said(counts: Mapping[str, int], what: str) -> Iterator[str]:
    """One note about the lights that have any."""
    names = [light for light, count in counts.items() if count]
    if names:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"traffic light '{names[0]}'{others}: {what}: {sum(counts.values())}"
