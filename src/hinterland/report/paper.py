"""What the paper reports, to stand beside our figures (its own machines, its own code)."""

import json
from functools import cache
from importlib import resources
from typing import Any

SECONDS_PER_100K = {
    # (global simulator, DIALS, one training of the predictors) by agents; Tables 1 and 2
    "warehouse": {
        4: (1335, 192, 119),
        25: (8734, 230, 640),
        49: (18737, 287, 1368),
        100: (42161, 500, 4090),
    },
    "traffic": {
        4: (652, 134, 60),
        25: (4227, 174, 337),
        49: (9487, 243, 774),
        100: (23496, 333, 2014),
    },
}
REFRESH = {"warehouse": "4M", "traffic": "1M"}
"""The refresh period F of the paper's curves, in steps."""
GLOBAL_MEMORY_MB = {4: 339, 25: 392, 49: 470, 100: 607}
PROCESS_MEMORY_MB = (196, 208)
"""DIALS, one process per agent, over the four sizes: lowest and highest of Table 3."""


@cache
def _curves() -> dict[str, Any]:
    text = resources.files("hinterland.report").joinpath("paper_curves.json").read_text()
    return json.loads(text)


def curve(domain: str, agents: int, simulation: str) -> tuple[list[float], list[float]] | None:
    """(steps per agent, return) of the paper's figure, if it has one."""
    points = _curves().get(domain, {}).get(str(agents), {}).get(simulation)
    return ([x for x, _ in points], [y for _, y in points]) if points else None


def seconds(domain: str, agents: int, simulation: str) -> tuple[int, int | None] | None:
    """(seconds per 100K steps per agent, seconds per refresh) of the paper, one core per agent."""
    found = SECONDS_PER_100K.get(domain, {}).get(agents)
    if found is None:
        return None
    on_global, on_local, refresh = found
    return {"global": (on_global, None), "dials": (on_local, refresh)}.get(simulation)


def memory(domain: str, agents: int, simulation: str) -> tuple[float, float] | None:
    """(lowest, highest) total memory of the paper in MB: all its processes together."""
    known = ("global", "dials")
    if domain != "warehouse" or agents not in GLOBAL_MEMORY_MB or simulation not in known:
        return None
    if simulation == "global":
        return GLOBAL_MEMORY_MB[agents], GLOBAL_MEMORY_MB[agents]
    low, high = PROCESS_MEMORY_MB
    return agents * low, agents * high
