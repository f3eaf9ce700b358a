"""What papers report, to stand beside our figures (their own machines, their own code)."""

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hinterland.core.options import Published


@cache
def _published(domain: str) -> "Published | None":
    from hinterland.domains.declared import installed_options

    return installed_options(domain).published


@cache
def _curves(place: str) -> dict[str, Any]:
    package, _, file = place.partition(":")
    return json.loads(resources.files(package).joinpath(file).read_text())


def curve(domain: str, agents: int, simulation: str) -> tuple[list[float], list[float]] | None:
    """(steps per agent, return) of the paper's figure, if it has one."""
    if (published := _published(domain)) is None:
        return None
    points = _curves(published.curves).get(str(agents), {}).get(simulation)
    return ([x for x, _ in points], [y for _, y in points]) if points else None


def refresh(domain: str) -> str:
    """The refresh period of its curves, as it is said."""
    published = _published(domain)
    return published.refresh if published is not None else "unknown"


def seconds(domain: str, agents: int, simulation: str) -> tuple[int, int | None] | None:
    """(seconds per 100K steps per agent, seconds per refresh) of the paper, one core per agent."""
    published = _published(domain)
    found = published.seconds.get(agents) if published is not None else None
    if found is None:
        return None
    on_global, on_local, each = found
    return {"global": (on_global, None), "dials": (on_local, each)}.get(simulation)


def memory(domain: str, agents: int, simulation: str) -> tuple[float, float] | None:
    """(lowest, highest) total memory of the paper in MB: all its processes together."""
    published = _published(domain)
    return published.memory.get(agents, {}).get(simulation) if published is not None else None
