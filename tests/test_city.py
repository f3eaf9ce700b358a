"""Reading networks and route files that we did not write; cutting pieces out of networks."""

import gzip
from pathlib import Path

import jax
import numpy as np
import pytest

from generated_cities import KINDS, check_light_by_light, make_cities
from hinterland.config import make_config
from hinterland.core import InfluenceBatch, UserError
from hinterland.domains.traffic.city import City, read_city
from hinterland.domains.traffic.cutting import cut
from hinterland.domains.traffic.netfile import read_network, seconds
from hinterland.influence.fit import FitSettings, fit
from hinterland.nets.predictor import PredictorNetwork


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, City]:
    return make_cities(tmp_path_factory.mktemp("cities"))


@pytest.mark.parametrize("kind", KINDS)
def test_generated_networks_are_read(cities: dict[str, City], kind: str) -> None:
    check_light_by_light(cities[kind])
    assert len(cities[kind].lights) >= 5


@pytest.mark.parametrize(
    "routes",
    [
        '<vehicle id="v" depart="7"><route edges="A0A1 A1A2"/></vehicle>',
        '<route id="r" edges="A0A1 A1A2"/><vehicle id="v" depart="7" route="r"/>',
        '<route id="r" edges="A0A1 A1A2"/><flow id="v" begin="7" end="20" number="3" route="r"/>',
        '<route id="r" edges="A0A1 A1A2"/><routeDistribution id="d" routes="r" '
        'probabilities="1"/><vehicle id="v" depart="7" route="d"/>',
        '<routeDistribution id="d"><route edges="A0A1 A1A2" probability="1"/></routeDistribution>'
        '<vehicle id="v" depart="0:00:07" route="d"/>',
        '<vType id="bus" vClass="bus"/><vType id="van"/><trip id="v" type="van" depart="7" '
        'from="A0A1" via="A1A2" to="A2B2"/>',
        '<flow id="v" begin="7" end="20" probability="0.5" from="A0A1" to="A1A2"/>',
    ],
)
def test_kinds_of_traffic(cities, tmp_path: Path, routes: str) -> None:
    file = tmp_path / "a.rou.xml"
    file.write_text(f"<routes>{routes}</routes>")
    city = read_city(cities["grid"].network, file)
    assert city.begin == 7
    assert city.end in (7, 20)
    assert not city.notes
    assert city.car.get("id") in (None, "van")


def test_times() -> None:
    assert seconds("90.5") == 90.5
    assert seconds("1:01:30") == 3690
    assert seconds("1:00:00:00") == 86400
    assert seconds("triggered") is None
    assert seconds("nan") is seconds("1e999") is None


@pytest.mark.parametrize(
    ("net", "routes", "message"),
    [
        ("missing.net.xml", None, "there is no such file"),
        ("<net", None, "not well-formed XML"),
        ("not xml", None, "not well-formed XML"),
        ("", None, "not well-formed XML"),
        ("<routes/>", None, r"begins with <routes>, not <net>"),
        ("<net/>", None, "without any edge"),
        ('<net><edge id="a"><lane id="a_0" length="x"/></edge></net>', None, "damaged"),
        (
            '<net><edge id="a"><lane id="a_0" length="9" speed="9"/></edge></net>',
            None,
            "no traffic light to train",
        ),
        (None, "missing.rou.xml", "there is no such file"),
        (None, "<net/>", r"begins with <net>, not <routes>"),
        (None, "<routes/>", r"no <vehicle>, <trip> or <flow>"),
        (
            None,
            '<routes><trip id="t" depart="0" from="nowhere" to="beyond"/></routes>',
            "no edge 'nowhere' and 1 more that its routes name",
        ),
        (
            None,
            '<routes><vehicle id="t" depart="0"><route edges="nowhere"/></vehicle></routes>',
            "no edge 'nowhere' that its routes name",
        ),
        (
            None,
            '<routes><trip id="b" depart="0:01:00" from="A0A1" to="A1A2"/>'
            '<trip id="c" depart="9" from="A0A1" to="A1A2"/></routes>',
            "'c' at 9 s comes after 'b' at 60 s; sort it",
        ),
        (
            None,
            '<routes><trip id="t" type="ghost" depart="0" from="A0A1" to="A1A2"/></routes>',
            "'t' names the vehicle type 'ghost', which the file does not define",
        ),
        (
            None,
            '<routes><vehicle id="t" route="ghost" depart="0"/></routes>',
            "'t' names the route 'ghost', which the file does not define",
        ),
        (
            None,
            '<routes><flow id="f" begin="0" end="9" number="3" from="A0bottom0" to="A0bottom0"/>'
            "</routes>",
            "none of the 1 routes .* passes a traffic light",
        ),
        (
            None,
            '<routes><flow id="f" begin="0" end="9" number="3" from="A0bottom0" to="A0A1"/>'
            "</routes>",
            "1 of them lead between parts of the network that are not connected",
        ),
    ],
)
def test_bad_files_get_one_sentence(cities, tmp_path: Path, net, routes, message: str) -> None:
    def written(name: str, text: str | None, good: Path) -> Path:
        if text is None or text.startswith("missing"):
            return good if text is None else tmp_path / text
        (tmp_path / name).write_text(text)
        return tmp_path / name

    city = cities["grid"]
    with pytest.raises(UserError, match=message) as raised:
        read_city(
            written("a.net.xml", net, city.network), written("a.rou.xml", routes, city.routes)
        )
    assert "\n" not in str(raised.value)


def test_compressed_files(cities, tmp_path: Path) -> None:
    city = cities["grid"]
    for file in (city.network, *city.routes):
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    packed = read_city(tmp_path / "grid.net.xml.gz", tmp_path / "grid.rou.xml.gz")
    assert packed.lights == city.lights
    (tmp_path / "bad.net.xml.gz").write_text("no gzip")
    with pytest.raises(UserError, match="cannot be read as a SUMO network"):
        read_city(tmp_path / "bad.net.xml.gz", city.routes)


def test_files_are_read_once_until_they_change(cities, tmp_path: Path) -> None:
    net, routes = cities["grid"].network, tmp_path / "a.rou.xml"
    routes.write_text('<routes><trip id="t" depart="7" from="A0A1" to="A1A2"/></routes>')
    first = read_city(net, routes)
    assert read_city(net, routes) is first
    routes.write_text('<routes><trip id="t" depart="9" from="A0A1" to="A1A2"/></routes>')
    assert (first.begin, read_city(net, routes).begin) == (7, 9)


@pytest.mark.parametrize("kind", ["rand", "spider"])
def test_a_cut_keeps_light_and_lanes(cities, kind: str, tmp_path: Path) -> None:
    city = cities[kind]
    whole = read_network(city.network)
    for light in city.lights[:6]:
        piece = read_network(cut(city, light.id, tmp_path))
        assert piece.programs == {light.id: whole.programs[light.id]}
        assert piece.connections == {light.id: whole.connections[light.id]}
        assert all(piece.lanes[lane] == whole.lanes[lane] for lane in light.lanes)
        assert len(piece.lanes) < len(whole.lanes)


def test_a_light_of_no_agent_cannot_be_cut(cities, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no traffic light 'nobody'"):
        cut(cities["grid"], "nobody", tmp_path)


def test_predictors_of_an_own_network_learn_how_rare_cars_are() -> None:
    """From as few episodes as the preset collects: nearly what the best constant prediction has."""
    config = make_config({"domain": "traffic", "net": "a.net.xml", "routes": "a.rou.xml"})
    numbers = np.random.default_rng(0)
    shape = (config.predictor_episodes, 60, 4)
    data = InfluenceBatch(
        dset=numbers.random((*shape[:2], 12)).astype(np.float32),
        influence=numbers.binomial(3, 0.02, shape).astype(np.int32),
        alive=np.ones(shape[:2], bool),
    )
    network = PredictorNetwork(
        jax.random.key(0), 12, 4, 4, kind=config.predictor, hidden=config.predictor_hidden
    )
    settings = FitSettings(config.predictor_epochs, config.predictor_batch, config.predictor_rate)
    figures = jax.jit(fit, static_argnums=3)(jax.random.key(1), network, data, settings)[1]
    assert figures["before"] > 1
    assert figures["cross_entropy"] < 1.15 * figures["marginal"] < 0.4
