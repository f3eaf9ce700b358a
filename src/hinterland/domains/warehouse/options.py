"""What the warehouse declares."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from hinterland.core.options import DomainOptions, Published
from hinterland.domains.checked import sizes_like

GLOBAL_MB = {4: 339, 25: 392, 49: 470, 100: 607}
PROCESS_MB = (196, 208)
"""DIALS, one process per agent, over the four sizes: lowest and highest of Table 3."""
PUBLISHED = Published(
    seconds={
        4: (1335, 192, 119),
        25: (8734, 230, 640),
        49: (18737, 287, 1368),
        100: (42161, 500, 4090),
    },
    refresh="4M",
    curves="hinterland.domains.warehouse:paper_curves.json",
    memory={
        agents: {"global": (mb, mb), "dials": (agents * PROCESS_MB[0], agents * PROCESS_MB[1])}
        for agents, mb in GLOBAL_MB.items()
    },
)
"""Of Suau et al., NeurIPS 2022: Tables 1 and 3."""


class Options(DomainOptions):
    """The paper's warehouse."""

    region: Annotated[str, AfterValidator(sizes_like("2x2"))] = Field(
        "1x1",
        description="ROWSxCOLUMNS of the robots that one local simulator models; what is left over "
        "at the right and below makes smaller regions",
    )

    summary = "the DIALS paper's warehouse: robots that collect items from shared shelves"
    kind = "agents"
    # The defaults of all settings were found in it, and preset paper is of it.
    presets = {"fast": {}, "paper": {}}  # noqa: RUF012 - never mutated
    published = PUBLISHED

    @classmethod
    def unread(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """What is of local simulators."""
        if settings.get("simulation") == "global":
            return {"region": "is for local simulators (--simulation dials or untrained)"}
        return {}
