"""A user's own network as a domain: SUMO everywhere, local simulators cut out of it."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from hinterland.core import AgentSpec, UserError
from hinterland.domains.host import HostProcess
from hinterland.domains.pool import SessionPool
from hinterland.domains.scratch import scratch
from hinterland.domains.traffic.approaches import VIEW_M
from hinterland.domains.traffic.city import City, city_of
from hinterland.domains.traffic.city_controllers import OWN, RULES, programs
from hinterland.domains.traffic.city_drawing import CityDrawing
from hinterland.domains.traffic.cutting import Departures, Ways, batch
from hinterland.domains.traffic.network import sumo_tool
from hinterland.domains.traffic.scenario import check, make_scenario
from hinterland.domains.traffic.trips import SHOWN

_HERE = "hinterland.domains.traffic"


class CitySessions(SessionPool):
    """The city in SUMO, one process for each session; made when first needed, then kept."""

    def __init__(self, city: City, folder: Path, reward: str) -> None:
        super().__init__()
        self._city, self._folder, self._reward = city, folder, reward

    def sessions(self, count: int) -> list[HostProcess]:
        """The first `count` processes."""
        target = f"{_HERE}.city_simulation:CityTraffic"
        return self._first(count, target, self._city, None, self._folder, self._reward)


class CityLocals(SessionPool):
    """Every agent's region, cut out of the network, in `copies` to a process."""

    def __init__(
        self, whole: CitySessions, city: City, steps: int, folder: Path, reward: str
    ) -> None:
        super().__init__()
        self._whole, self._city, self._steps, self._folder = whole, city, steps, folder
        self._reward = reward

    def sessions(self, count: int, copies: int) -> list[HostProcess]:
        """The first `count` processes; all calls ask for the same number of copies."""
        if not self._processes:
            counted = self._counted()
            self._copies = []
            for number, light in enumerate(self._city.lights):
                folder = self._folder / f"agent-{number}-of-{copies}"
                folder.mkdir()
                self._copies.append(batch(self._city, light.id, copies, folder, *counted))
        target = f"{_HERE}.local_batch:LocalBatches"
        return self._first(count, target, self._copies, self._reward)

    def _counted(self) -> tuple[Ways, Departures]:
        """How cars go through each region and where they begin their way, counted in one episode of
        the network's own programs."""
        (session,) = self._whole.sessions(1)
        session.begin("reset", 0, OWN)
        for _ in range(self._steps):
            session.call("step", [0] * len(self._city.lights))
        return session.call("ways"), session.call("departures")


class CityDomain:
    """Every traffic light of a user's network that has something to decide.

    Args:
        city: as `city_of` gives it.
        reward: a name of `costs.REWARDS`.

    Raises:
        UserError: SUMO refuses its files.
    """

    name = "traffic"
    shown_figures = SHOWN

    def __init__(self, city: City, reward: str = "delay") -> None:
        sumo_tool("netconvert")  # complains before there is a folder to leave behind
        self.notes = (*city.notes, *check(city.scenario, city.begin, city.first))
        folder = Path(tempfile.mkdtemp(prefix="city-", dir=scratch()))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.city, self.agents = city, len(city.lights)
        self.scripted = {name: name for name in RULES} | programs(city) | {"heuristic": "actuated"}
        self.action_mask = city.action_mask
        steps = city.scenario.seconds // city.scenario.decision
        self.spec = AgentSpec(
            observation=city.observation,
            actions=city.phases,
            dset=city.dset,
            sources=city.lanes,
            classes=city.classes,
            horizon=steps,
        )
        self.global_simulator = CitySessions(city, folder, reward)
        self.local_simulator = CityLocals(self.global_simulator, city, steps, folder, reward)
        self._drawing: CityDrawing | None = None

    def scene(self) -> dict[str, Any]:
        """The roads."""
        return self._drawn.scene()

    def frame(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """Lights and cars of one moment."""
        return self._drawn.frame(state)

    @property
    def _drawn(self) -> CityDrawing:
        if self._drawing is None:
            self._drawing = CityDrawing(self.city)
        return self._drawing


def make_city(view: float = VIEW_M, reward: str = "delay", **options: Any) -> CityDomain:
    """The domain of a user's files.

    Args:
        view: metres to which approaches are followed upstream.
        reward: of the lights, a name of `costs.REWARDS`.
        options: as of `make_scenario`.

    Raises:
        UserError: as `make_scenario`, `city_of` and `check`; an episode shorter than a step.
    """
    scenario = make_scenario(**options)
    if scenario.seconds < scenario.decision:
        raise UserError(
            f"--seconds {scenario.seconds}: an episode has at least one step of "
            f"{scenario.decision} s"
        )
    return CityDomain(city_of(scenario, view), reward)
