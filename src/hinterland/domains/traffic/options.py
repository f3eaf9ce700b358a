"""Options and presets of traffic."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from hinterland.core.options import FILE, FILES, DomainOptions, Published
from hinterland.domains.checked import rows_by_columns, sizes_like
from hinterland.domains.traffic.scenario import DECISION_S

_ALWAYS: dict[str, Any] = {
    "network": "feed-forward",
    "predictor": "feed-forward",
    "predictor_hidden": 128,
    "evaluate_episodes": 16,
    "final_episodes": 64,
}
FAST: dict[str, Any] = {
    # With fewer minibatches some lights stay at switching without end. With many lights it is the
    # global simulator that costs, hence few refreshes from few episodes.
    **_ALWAYS,
    "hidden": 32,
    "trunk": 32,
    "epochs": 4,
    "minibatches": 8,
    "discount": 0.95,
    "refreshes": 3,
    "predictor_episodes": 8,
    "predictor_batch": 2,
}
PAPER: dict[str, Any] = {
    **_ALWAYS,
    "window": 16,
    "windows": 8,
    "predictor_episodes": 32,
    "predictor_epochs": 100,
    "predictor_batch": 1,
}
PATHS = ("net", "routes", "additional", "sumocfg")
OF_OWN = "is for your own network (--net or --sumocfg)"
"""What of the options below is no use on grids."""
HOST_COPIES = {"copies": 8, "windows": 16}
"""Preset fast on SUMO as a whole: a copy is a process, batches stay as large."""
HOST_LOCAL_COPIES = {"copies": 32, "windows": 4}
"""The same for SUMO's local simulators: between 10 and 50 in one process cost least."""
OWN_NETWORK = {
    "hidden": 256, "trunk": 128, "epochs": 2, "minibatches": 4,
    "predictor_batch": 1, "predictor_epochs": 20,
    "evaluations": 3, "evaluate_episodes": 4, "final_episodes": 8,
}  # fmt: skip
"""What two towns were learned with. Few episodes make few minibatches: with 15 in each, predictors
hardly leave their start, where every lane gets 0, 1, 2 or 3 cars in a step with the same chance.

Evaluation plays 64 episodes in all (sampled and greedy, four times, the first one included; these,
random and actuated at the end): no more than the 83 that --steps 20k simulate, 20 minutes each."""

PUBLISHED = Published(
    seconds={
        4: (652, 134, 60),
        25: (4227, 174, 337),
        49: (9487, 243, 774),
        100: (23496, 333, 2014),
    },
    refresh="1M",
    curves="hinterland.domains.traffic:paper_curves.json",
    memory={},
)
"""Of Suau et al., NeurIPS 2022: Table 2."""


class Options(DomainOptions):
    """The paper's grid of lights, or a network of one's own."""

    local: Literal["native", "sumo"] = Field(
        "native", description="grids: local simulators in JAX (native) or in SUMO (sumo)"
    )
    grid: Annotated[str, AfterValidator(sizes_like("2x3"))] | None = Field(
        None, description="ROWSxCOLUMNS of lights; a square of --agents by default"
    )
    inflow: float = Field(
        0.1,
        ge=0,
        le=1_000_000,
        description="grids: cars per second at each border edge (a probability)",
    )
    net: Annotated[str | None, FILE] = Field(
        None, description="your own SUMO network (.net.xml); its lights are the agents"
    )
    routes: Annotated[str | None, FILES] = Field(
        None, description="its route files (.rou.xml): vehicles, trips, flows, people"
    )
    additional: Annotated[str | None, FILES] = Field(
        None,
        description="its additional files (.add.xml): stops, vehicle types, detectors, programs of "
        "lights, ...",
    )
    sumocfg: Annotated[str | None, FILE] = Field(
        None,
        description="a SUMO configuration (.sumocfg) in place of --net, --routes and --additional; "
        "what it says of time, teleports and the like holds, too",
    )
    begin: int | None = Field(
        None,
        ge=0,
        le=10_000_000,
        description="your own network: second of SUMO's clock at which an episode begins; by "
        "default the one of --sumocfg, else that of the first departure",
    )
    seconds: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="your own network: seconds of an episode; by default those to the end of "
        "--sumocfg, else 1200",
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="your own network: seconds from the beginning in which its own programs run "
        "and nothing counts, before the seconds of an episode",
    )
    teleport: int | None = Field(
        None,
        ge=-1,
        le=1_000_000,
        description="your own network: seconds after which SUMO moves on a vehicle that stands, "
        "-1: never; by default as in --sumocfg, else never",
    )
    program: str | None = Field(
        None,
        description="your own network: ID of the program of lights that have several; by default "
        "the last one, as in SUMO",
    )
    decision: int = Field(
        DECISION_S,
        ge=1,
        le=3600,
        description="your own network: seconds from one decision of the lights to the next, what "
        "they show in between included",
    )
    yellow: int | None = Field(
        None,
        ge=1,
        le=60,
        description="your own network: seconds of yellow between any two greens, and nothing else "
        "there; by default what the network's programs show",
    )
    least_green: int | None = Field(
        None,
        ge=1,
        le=3600,
        description="your own network: seconds that every green lasts at least; by default "
        "minDur of the network's programs, else 5 (max-pressure and greedy: 10)",
    )
    view: int = Field(
        200,
        ge=0,
        le=100_000,
        description="your own network: metres to which the roads before a light belong to its "
        "region, unless another light is nearer",
    )
    reward: Literal["delay", "wait", "pressure", "queue", "speed"] = Field(
        "delay",
        description="of the lights of your own network: minus the time lost (delay), the time "
        "stood so far (wait), vehicles before and behind (pressure), vehicles that stand "
        "(queue); or the mean speed (speed); formulas: docs/traffic.md",
    )

    summary = "traffic lights in SUMO: the DIALS paper's grids, or your own network"
    kind = "agents"
    presets = {"fast": FAST, "paper": PAPER}  # noqa: RUF012 - never mutated
    benches = {  # noqa: RUF012
        "traffic-fidelity": "hinterland.domains.traffic.bench_fidelity",
        "traffic-local": "hinterland.domains.traffic.bench_local",
        "traffic-growth": "hinterland.domains.traffic.bench_growth",
        "resco": "hinterland.domains.traffic.bench_resco",
    }
    published = PUBLISHED
    anew = ("begin", "seconds", "warm_up", "teleport")

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fewer copies where they are processes; a grid has as many agents as lights."""
        preset = dict(cls.presets.get(name, {}))
        own = "net" in given or "sumocfg" in given
        if name == "fast":
            if given.get("simulation") == "global":
                preset |= HOST_COPIES
            elif given.get("local") == "sumo" or own:
                preset |= HOST_LOCAL_COPIES
            if own:
                preset |= OWN_NETWORK
        if "agents" not in given and (sizes := rows_by_columns(str(given.get("grid")))):
            preset["agents"] = sizes[0] * sizes[1]
        return preset

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """With whole paths, as runs are resumed from anywhere, and the network's agents."""
        # What is of another type is refused later.
        names = {name: x for name in PATHS if isinstance(x := given.get(name), str) and x}
        paths = {
            name: ",".join(str(Path(path.strip()).resolve()) for path in text.split(","))
            for name, text in names.items()
            if "\0" not in text
        }
        given = {**given, **paths}
        whole = "sumocfg" in paths or ("net" in paths and {"routes", "additional"} & paths.keys())
        if "agents" in given or not whole:
            return given
        from hinterland.domains.traffic.city import city_of
        from hinterland.domains.traffic.scenario import make_scenario

        own: dict[str, Any] = {**paths} | {
            name: given[name]
            for name in ("begin", "seconds", "warm_up", "teleport", "program")
            if isinstance(given.get(name), str if name == "program" else int)
        }
        view = given.get("view", cls.model_fields["view"].default)
        if not isinstance(view, int):  # refused later
            return given
        return {**given, "agents": len(city_of(make_scenario(**own), view).lights)}

    @classmethod
    def unread(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """What is of grids, of networks, or of local simulators."""
        found: dict[str, str] = {}
        if settings.get("simulation") == "global":
            found["local"] = "is for local simulators (--simulation dials or untrained)"
        if settings.get("net") is None and settings.get("sumocfg") is None:
            of_own = (
                "routes", "additional", "begin", "seconds", "warm_up", "teleport", "program",
                "decision", "yellow", "least_green", "view", "reward",
            )  # fmt: skip
            found |= dict.fromkeys(of_own, OF_OWN)
        else:
            found["inflow"] = "is for grids: your own network has its cars in --routes"
            found["local"] = "is for grids: your own network has simulators of its own"
        return found
