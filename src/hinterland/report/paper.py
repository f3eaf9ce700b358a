"""What the paper reports, to stand beside our figures (its own machines, its own code)."""

import json
from functools import cache
from importlib import resources
from typing import Any

SECONDS_PER_100K = {
    # agents: (global simulator, DIALS, one training of the predictors), from the notebooks.
    4: (1335, 192, 119),
    25: (8734, 230, 640),
    49: (18737, 287, 1368),
    100: (42161, 500, 4090),
}
MEMORY_MB = {
    # agents: (global simulator, DIALS per process), from Table 3.
    4: (339, 196),
    25: (392, 200),
    49: (470, 204),
    100: (607, 208),
}


@cache
def _curves() -> dict[str, Any]:
    text = resources.files("hinterland.report").joinpath("paper_curves.json").read_text()
    return json.loads(text)


def curve(domain: str, agents: int, simulation: str) -> tuple[list[float], list[float]] | None:
    """(steps per agent, return) of the paper's figure, if it has one."""
    points = _curves().get(domain, {}).get(str(agents), {}).get(simulation)
    return ([x for x, _ in points], [y for _, y in points]) if points else None
