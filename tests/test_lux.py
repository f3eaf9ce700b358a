"""Lux AI S2: the engine's own boards, masks that it accepts, credit that adds up, repeatable games.

The engine is the judge wherever it can be: it validates, counts ice and replays.
"""

import hashlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hinterland.core import UserError
from hinterland.domains.lux import LuxSessions, Payment, Rules, play, replay, table
from hinterland.domains.lux.actions import (
    DIG,
    MOVE,
    PICKUP,
    RECHARGE,
    RECHARGE_AMOUNT,
    SELF_DESTRUCT,
    TRANSFER,
    TYPE,
    UNIT_NOTHING,
    masks,
    nothing,
    permitted,
    to_engine,
    water_bound,
)
from hinterland.domains.lux.bots import HeavyPerFactory, RandomMasked
from hinterland.domains.lux.drawing import frame, scene
from hinterland.domains.lux.engine import NEXT_BOARD, Game, require_engine
from hinterland.domains.lux.features import PLANES, observe, planes
from hinterland.domains.lux.noise import provide, snoise2
from hinterland.domains.lux.placement import beside, score, smooth
from hinterland.domains.lux.reward import pay
from hinterland.domains.lux.session import LuxSession
from hinterland.domains.lux.state import (
    HEAD,
    ID,
    KIND,
    PLAYERS,
    POWER,
    UNIT,
    Slots,
    State,
    X,
    Y,
    read,
)

GOLDEN = json.loads((Path(__file__).parent / "lux_golden.json").read_text())
"""Noise and boards of engine 3.0.1 with the C extension."""
TINY = Rules(map_size=16, slots=32)


def _game(rules: Rules, seed: int, **engine: Any) -> tuple[Game, tuple[Slots, Slots], State]:
    """A game of our own, to look inside."""
    game = Game(rules, **engine)
    slots = Slots(rules.seats), Slots(rules.seats)
    return game, slots, read(game.start(seed), slots)


def _crowd(rules: Rules, seed: int, units: int, **engine: Any) -> Any:
    """The same, with light units of both sides strewn over the board."""
    game, slots, _ = _game(rules, seed, **engine)
    game.add_lights(units, np.random.default_rng(seed))
    return game, slots, read(game.observation(), slots)


def _both(state: State, bots: list, water: bool = False) -> np.ndarray:
    """Actions of both sides' bots."""
    mask = masks(state, water)
    return np.stack([
        bot(state, {name: array[side].copy() for name, array in mask.items()})
        for side, bot in enumerate(bots)
    ])  # fmt: skip


# The engine and its boards


@pytest.mark.parametrize("case", GOLDEN["snoise2"], ids=lambda case: str(case["kwargs"]))
def test_noise_is_that_of_the_extension_to_the_last_bit(case: dict) -> None:
    noise = snoise2(case["x"], case["y"], **case["kwargs"])
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise, np.array(case["value"], np.float32))


def test_noise_broadcasts_and_refuses_no_octaves() -> None:
    grid = snoise2(np.linspace(0, 1, 5)[None], np.linspace(0, 2, 3)[:, None], octaves=2)
    assert grid.shape == (3, 5)
    assert grid[2, 1] == snoise2(0.25, 2.0, octaves=2)
    with pytest.raises(ValueError, match="octaves must be at least 1"):
        snoise2(0, 0, octaves=0)


@pytest.mark.parametrize("board", GOLDEN["maps"], ids=lambda m: f"{m['map_size']}-{m['seed']}")
def test_boards_are_the_engines_own(board: dict) -> None:
    factories = board["min_factories"], board["max_factories"]
    game = Game(Rules(map_size=board["map_size"], factories=factories))
    seen = game.engine.reset(seed=board["seed"])[0]["player_0"]["board"]
    assert seen["factories_per_team"] == board["factories_per_team"]
    for name in ("ice", "ore", "rubble"):
        bytes_of = np.ascontiguousarray(seen[name], np.int64).tobytes()
        assert hashlib.sha256(bytes_of).hexdigest()[:16] == board[f"sha_{name}"], name


def test_a_real_vec_noise_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "vec_noise", raising=False)
    (tmp_path / "vec_noise.py").write_text("snoise2 = 'the real one'")
    monkeypatch.syspath_prepend(tmp_path)
    provide()
    assert "vec_noise" not in sys.modules
    assert importlib.import_module("vec_noise").snoise2 == "the real one"
    monkeypatch.delitem(sys.modules, "vec_noise")


def test_a_missing_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for ask in (require_engine, LuxSessions(TINY).sessions):
        with pytest.raises(UserError, match=r"not installed: .*'hinterland\[lux\]'.*vec-noise"):
            ask(*(() if ask is require_engine else (1,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map_size": 8}, "map size 8: a Lux board has 16 to 64 cells"),
        ({"map_size": 65}, "map size 65"),
        ({"map_size": 24, "factories": (1, 3)}, "factories 1 to 3: a 24 x 24 board takes 1 to 2"),
        ({"factories": (3, 2)}, "factories 3 to 2"),
        ({"length": 1001}, "length 1001: a Lux game has 1 to 1000 steps"),
        ({"slots": 5}, "slots 5: 5 factories leave none"),
    ],
)
def test_impossible_rules_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Rules(**settings)


def test_a_board_with_less_ice_than_factories_is_passed_over() -> None:
    game = Game(TINY)

    def ice(seed: int) -> int:
        return game.engine.reset(seed=seed)[0]["player_0"]["board"]["ice"].sum()

    bare = next(seed for seed in range(99) if ice(seed) < 2 <= ice(seed + NEXT_BOARD))
    assert game.start(bare)["board"]["ice"].sum() >= 2
    assert game.seed == bare + NEXT_BOARD


# Placement


def test_ice_beside_counts_the_twelve_cells() -> None:
    board = np.zeros((9, 9))
    for x, y in [(2, 3), (2, 4), (2, 5), (6, 4), (4, 2), (5, 6), (4, 4), (2, 2), (4, 7)]:
        board[x, y] = 1  # the last three: under it, at its corner, too far
    assert beside(board)[4, 4] == 6


def test_the_filter_is_the_gaussian_one() -> None:
    board = np.random.default_rng(0).random((24, 24))
    lone = np.zeros((41, 41))
    lone[20, 20] = 1
    centre = gaussian_filter(lone, 3)[20, 20]
    np.testing.assert_allclose(smooth(board), gaussian_filter(board, 3) / centre, rtol=1e-12)


def test_factories_stand_beside_ice_and_share_the_stores() -> None:
    seen = Game(Rules()).start(seed=0)
    ice = np.asarray(seen["board"]["ice"])
    for name in PLAYERS:
        factories = seen["factories"][name].values()
        assert len(factories) == seen["board"]["factories_per_team"] == 2
        for factory in factories:
            assert beside(ice)[tuple(factory["pos"])] >= 1
            assert factory["cargo"]["metal"] == factory["cargo"]["water"] == 150


def test_no_factory_where_none_may_stand() -> None:
    board = Game(TINY).engine.reset(seed=0)[0]["player_0"]["board"]
    points = score(board, np.zeros((16, 16)))
    assert np.array_equal(np.isfinite(points), board["valid_spawns_mask"])


# Slots


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**16 - 1)), max_size=40))
def test_slots_keep_their_entities(story: list[tuple[int, int]]) -> None:
    """Births and deaths in any order, six slots."""
    slots, alive, newest = Slots(6), [], 0
    before: dict[int, int] = {}
    for births, deaths in story:
        alive = [one for index, one in enumerate(alive) if not deaths >> index & 1]
        alive += range(newest, newest + births)
        newest += births
        seats = slots.seat(np.array(alive, int))
        now = {one: int(seat) for one, seat in zip(alive, seats, strict=True) if seat >= 0}
        assert len(set(now.values())) == len(now), "two in one slot"
        assert all(now[one] == before[one] for one in before if one in alive), "somebody moved"
        assert not set(before.values()) & {now[one] for one in now if one not in before}, "no gap"
        left = len({seat for one, seat in before.items() if one not in alive})
        assert len(now) == min(len(alive), 6 - left), "a free slot, and somebody waits"
        if newest <= 6:
            assert list(seats) == alive, "in order of ids while slots are fresh"
        before = now


def test_who_has_no_slot_stands_still_and_is_counted() -> None:
    rules = Rules(map_size=16, slots=4)
    game, slots, state = _crowd(rules, 1, 12)
    bots = [RandomMasked(side, 0) for side in (0, 1)]
    assert list(state.unseated) == [9, 9]
    waits = [
        rows[:, ID][~np.isin(rows[:, ID], state.seats[p, :, ID])]
        for p, rows in enumerate(state.rows)
    ]
    places = [state.rows[p][np.isin(state.rows[p][:, ID], waits[p])] for p in (0, 1)]
    after = read(game.step(to_engine(_both(state, bots), state)), slots)
    for player in (0, 1):
        still = after.rows[player][np.isin(after.rows[player][:, ID], waits[player])]
        known = np.isin(places[player][:, ID], still[:, ID])
        np.testing.assert_array_equal(still[:, [X, Y]], places[player][known][:, [X, Y]])


# Masks


def _slow_masks(game: Game, player: int) -> dict[str, dict[str, set]]:
    """The paper's table, read off the engine's objects, one entity at a time."""
    state, config = game.engine.state, game.engine.env_cfg
    me, other = PLAYERS[player], PLAYERS[1 - player]
    board, size = state.board, config.map_size
    ways = [(0, 0), (0, -1), (1, 0), (0, 1), (-1, 0)]
    units_at = {
        name: {(int(u.pos.x), int(u.pos.y)) for u in state.units[name].values()} for name in PLAYERS
    }
    centres = {(int(f.pos.x), int(f.pos.y)) for f in state.factories[me].values()}

    def owner(x: int, y: int) -> str | None:
        number = board.factory_occupancy_map[x, y]
        return next(
            (name for name in PLAYERS if f"factory_{number}" in state.factories[name]), None
        )

    found: dict[str, dict[str, set]] = {}
    for name, factory in state.factories[me].items():
        free = (int(factory.pos.x), int(factory.pos.y)) not in units_at[me]
        robots = config.ROBOTS["LIGHT"], config.ROBOTS["HEAVY"]
        types = {
            index for index, robot in enumerate(robots)
            if free and factory.cargo.metal >= robot.METAL_COST
            and factory.power >= robot.POWER_COST
        }  # fmt: skip
        found[name] = {"factory_type": types if 1 in types else types | {3}}
    for name, unit in state.units[me].items():
        x, y = int(unit.pos.x), int(unit.pos.y)
        own = unit.unit_cfg
        left = unit.power - own.ACTION_QUEUE_POWER_COST
        moves, gives = set(), set()
        for way, (dx, dy) in enumerate(ways):
            to = x + dx, y + dy
            if not (0 <= to[0] < size and 0 <= to[1] < size):
                continue
            if owner(*to) == me:
                gives.add(way)
            crash = not unit.is_heavy() and to in units_at[other]
            if way and owner(*to) != other and to not in centres and not crash:
                if left >= unit.move_power_cost(board.rubble[to]):
                    moves.add(way)
        cargo = {index for index, have in enumerate((unit.cargo.ice, unit.cargo.ore)) if have > 0}
        types = set()
        if left < 0:
            types.add(UNIT_NOTHING)
        else:
            types |= {MOVE} if moves else set()
            types |= {TRANSFER} if cargo and gives else set()
            if unit.power < own.BATTERY_CAPACITY:
                types |= {RECHARGE} | ({PICKUP} if owner(x, y) == me else set())
            here = board.ice[x, y] + board.ore[x, y] + board.rubble[x, y]
            types |= {DIG} if here > 0 and left >= own.DIG_COST else set()
        transfers = TRANSFER in types
        found[name] = {
            "unit_type": types,
            "move_direction": moves,
            "transfer_direction": gives if transfers else set(),
            "transfer_resource": cargo if transfers else set(),
            "amount": set(range(10)),
        }
    return found


@pytest.mark.parametrize("units", [0, 25])
def test_masks_are_the_papers_table(units: int) -> None:
    game, slots, state = _crowd(Rules(map_size=24), 3, units)
    bots = [RandomMasked(side, 5) for side in (0, 1)]
    seen: set[int] = set()
    for step in range(60):
        if step % 6 == 0:
            mask = masks(state)
            for player in (0, 1):
                expected = _slow_masks(game, player)
                assert len(expected) == (state.seats[player, :, ID] >= 0).sum()
                for slot in np.flatnonzero(state.seats[player, :, ID] >= 0):
                    row = state.seats[player, slot]
                    name = f"{'unit' if row[KIND] == UNIT else 'factory'}_{row[ID]}"
                    for head, array in mask.items():
                        allowed = set(np.flatnonzero(array[player, slot]))
                        assert allowed == expected[name].get(head, set()), (step, name, head)
                    seen |= set(np.flatnonzero(mask["unit_type"][player, slot]))
            empty = state.seats[..., ID] < 0
            assert not any(array[empty].any() for array in mask.values())
        state = read(game.step(to_engine(_both(state, bots), state)), slots)
    assert seen >= {MOVE, PICKUP, DIG, RECHARGE}
    assert SELF_DESTRUCT not in seen


@pytest.mark.parametrize(("seed", "units"), [(0, 0), (1, 20)])
def test_the_engine_accepts_every_random_action(
    seed: int, units: int, capsys: pytest.CaptureFixture
) -> None:
    """With everything it can say switched on, it says nothing but who ran into whom, and died."""
    rules = Rules(map_size=24, validate=True, water=True)
    game, slots, state = _crowd(rules, seed, units, verbose=3)
    bots = [RandomMasked(side, seed) for side in (0, 1)]
    types = np.zeros(7, int)
    for _ in range(160):
        if not state.factories.all():
            break
        actions = _both(state, bots, water=True)
        assert permitted(actions, masks(state, water=True)).all()
        types += np.bincount(actions[(state.seats[..., KIND] == UNIT), TYPE], minlength=7)
        state = read(game.step(to_engine(actions, state)), slots)
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    fine = ("collided at", "lost all factories")
    assert [line for line in said if not any(words in line for words in fine)] == []
    assert all(types[kind] for kind in (MOVE, PICKUP, DIG, RECHARGE))


def test_water_that_the_mask_asks_for_is_enough_and_not_far_too_much() -> None:
    game, slots, state = _game(TINY, 1)
    engine = game.engine.state
    engine.board.rubble[:] = 0  # so that lichen spreads
    actions, most = nothing(state.seats), 0
    actions[:, 0, TYPE] = 2
    for _ in range(90):
        for name in PLAYERS:
            next(iter(engine.factories[name].values())).cargo.water = 100
        state = read(game.observation(), slots)
        bound = water_bound(state)[:, 0]
        assert masks(state, water=True)["factory_type"][:, 0, 2].all()
        game.step(to_engine(actions, state))
        for player, name in enumerate(PLAYERS):
            factory = next(iter(engine.factories[name].values()))
            cost = factory.water_cost(game.engine.env_cfg)
            assert cost <= bound[player] <= 2 * cost + 2
            assert factory.cargo.water == 100 - cost - 1
            most = max(most, cost)
    assert most >= 4  # it has spread: 12 cells cost 2
    assert not masks(state)["factory_type"][:, 0, 2].any()
    for name in PLAYERS:
        next(iter(engine.factories[name].values())).cargo.water = 1
    assert not masks(read(game.observation(), slots), water=True)["factory_type"][:, 0, 2].any()


def test_reserved_cells_keep_friends_apart() -> None:
    game, slots, state = _crowd(Rules(map_size=16, slots=64), 4, 40, statistics=True)
    for unit in list(game.engine.state.units["player_1"].values()):
        del game.engine.state.board.units_map[f"{unit.pos.x},{unit.pos.y}"]
        del game.engine.state.units["player_1"][unit.unit_id]
    state = read(game.observation(), slots)
    bot, moved = RandomMasked(0, 0), 0
    for _ in range(60):
        actions = nothing(state.seats)
        actions[0] = _both(state, [bot, RandomMasked(1, 0)])[0]
        moved += (actions[0, :, TYPE] == MOVE).sum()
        state = read(game.step(to_engine(actions, state)), slots)
    assert moved > 500
    destroyed = game.engine.state.stats["player_0"]["destroyed"]
    assert destroyed["LIGHT"] == destroyed["HEAVY"] == 0


def test_a_queue_is_resent_only_if_it_differs() -> None:
    game, slots, state = _crowd(TINY, 2, 3)
    for unit in game.engine.state.units["player_0"].values():
        unit.power = 30
    state = read(game.observation(), slots)
    slot = int(np.flatnonzero(state.seats[0, :, KIND] == UNIT)[0])
    actions = nothing(state.seats)
    actions[0, slot, [TYPE, RECHARGE_AMOUNT]] = RECHARGE, 9
    name = f"unit_{state.seats[0, slot, ID]}"
    assert to_engine(actions, state)["player_0"][name].tolist() == [[5, 0, 0, 150, 0, 1]]
    state = read(game.step(to_engine(actions, state)), slots)
    assert state.seats[0, slot, POWER] == 30  # a queue costs 1, the day gives 1
    assert state.seats[0, slot, HEAD:].tolist() == [5, 0, 0, 150, 0, 1]
    assert to_engine(actions, state) == {"player_0": {}, "player_1": {}}
    actions[0, slot, RECHARGE_AMOUNT] = 4
    assert name in to_engine(actions, state)["player_0"]


def test_with_validation_a_forbidden_action_is_refused() -> None:
    session = LuxSession(Rules(map_size=16, validate=True))
    seen = session.reset(0)
    actions = np.zeros((2, 64, 6), np.int8)  # build a light unit: both factories can
    actions[..., TYPE] = np.where(seen["observation"]["active"], 0, 3)
    session.step(actions)
    with pytest.raises(ValueError, match=r"step 1: the mask of player_0's slot 0 forbids \[0, 0"):
        session.step(actions)  # its centre is taken now


# Observations


def test_planes_are_what_the_engine_shows() -> None:
    game, slots, state = _crowd(Rules(map_size=24), 5, 20)
    bots = [RandomMasked(side, 1) for side in (0, 1)]
    for _ in range(35):
        state = read(game.step(to_engine(_both(state, bots), state)), slots)
    seen, stored = game.observation(), observe(state)
    whole = planes(stored)
    assert whole.shape == (2, 17, 24, 24)
    assert whole.dtype == np.float32
    for player, (me, other) in enumerate((PLAYERS, PLAYERS[::-1])):
        expected = np.zeros((17, 24, 24))
        put = dict(zip(PLANES, expected, strict=True))
        put["step"][:], put["day"][:] = 35 / 1000, 0
        for name in ("ice", "ore", "rubble"):
            put[name][:] = np.asarray(seen["board"][name]).T / (100 if name == "rubble" else 1)
        for owner, plane in ((me, "own factory"), (other, "enemy")):
            for factory in seen["factories"][owner].values():
                x, y = factory["pos"]
                put[plane][y - 1 : y + 2, x - 1 : x + 2] = 1
        for factory in seen["factories"][me].values():
            x, y = factory["pos"]
            put["factory power"][y, x] = factory["power"] / 3000
            for name, amount in factory["cargo"].items():
                put[f"factory {name}"][y, x] = amount / 1000
        for unit in seen["units"][other].values():
            put["enemy"][unit["pos"][1], unit["pos"][0]] = 1
        for unit in seen["units"][me].values():
            x, y = unit["pos"]
            heavy = unit["unit_type"] == "HEAVY"
            put["own unit"][y, x], put["heavy"][y, x] = 1, heavy
            put["unit power"][y, x] = unit["power"] / (3000 if heavy else 150)
            for name in ("ice", "ore"):
                put[f"unit {name}"][y, x] = unit["cargo"][name] / (1000 if heavy else 100)
        np.testing.assert_allclose(whole[player], expected, rtol=6e-4, err_msg=me)
        ids = {int(name.split("_")[1]): one["pos"] for kind in ("factories", "units")
               for name, one in seen[kind][me].items()}  # fmt: skip
        active = stored["active"][player]
        assert sorted(stored["id"][player][active]) == sorted(ids)
        for slot in np.flatnonzero(active):
            x, y = ids[stored["id"][player, slot]]
            assert stored["cell"][player, slot] == y * 24 + x
    assert sum(array.nbytes for array in stored.values()) < 0.4 * whole.nbytes


def test_planes_are_the_same_in_jax() -> None:
    import jax.numpy as jnp

    stored = observe(_crowd(TINY, 0, 5)[2])
    lead = {name: array[:, None] for name, array in stored.items()}
    there = planes({name: jnp.asarray(array) for name, array in lead.items()}, jnp)
    assert there.dtype == jnp.float32
    np.testing.assert_allclose(there, planes(lead), rtol=1e-6)


# Rewards and figures


def test_rewards_are_the_ice_that_the_engine_counts() -> None:
    game, slots, state = _game(Rules(map_size=24), 3, statistics=True)
    bots = [HeavyPerFactory(side, 0) for side in (0, 1)]
    payment = Payment(scale=0.5, mined=0.0)
    total, expected = 0.0, 0.0
    ice = np.zeros(2)
    for _ in range(150):
        actions = _both(state, bots)
        after = read(game.step(to_engine(actions, state)), slots)
        paid = pay(state, actions, after, payment)
        early = 1 + 0.1 * (1000 - state.step) / 1000
        units = np.where(state.seats[..., KIND] == UNIT, paid.reward, 0).sum(1)
        np.testing.assert_allclose(units, paid.reward.sum(1) / 2, rtol=1e-6)  # half and half
        total += paid.reward.sum()
        expected += 0.5 * early * paid.ice.sum() / 4
        ice += paid.ice
        state = after
    counted = [game.engine.state.stats[name]["transfer"]["ice"] for name in PLAYERS]
    assert list(ice) == counted
    assert min(counted) > 500
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_digging_pays_a_tenth() -> None:
    game, slots, state = _game(Rules(map_size=24), 3, statistics=True)
    bots = [HeavyPerFactory(side, 0) for side in (0, 1)]
    dug = 0.0
    for _ in range(60):
        actions = _both(state, bots)
        after = read(game.step(to_engine(actions, state)), slots)
        both = pay(state, actions, after, Payment(scale=1, mined=0.1)).reward
        delivered = pay(state, actions, after, Payment(scale=1, mined=0.0)).reward
        dug += (both - delivered).sum() / (0.5 * (1 + 0.1 * (1000 - state.step) / 1000) * 0.1 / 4)
        state = after
    counted = sum(
        sum(game.engine.state.stats[name]["generation"]["ice"].values()) for name in PLAYERS
    )
    assert counted > 100
    np.testing.assert_allclose(dug, counted, rtol=1e-4)


def test_death_and_survival_cost_what_is_asked() -> None:
    game, slots, state = _crowd(TINY, 6, 8)
    payment = Payment(scale=1, survival=0.01, unit_death=-0.01, factory_death=-0.2)
    engine = game.engine.state
    lost = sorted(engine.units["player_0"])[0]
    engine.factories["player_1"][next(iter(engine.factories["player_1"]))].cargo.water = 0
    actions = nothing(state.seats)
    orders = to_engine(actions, state)
    orders["player_0"][lost] = np.array([[4, 0, 0, 0, 0, 1]])
    after = read(game.step(orders), slots)
    reward = pay(state, actions, after, payment).reward
    unit = (state.seats[..., ID] >= 0) & (state.seats[..., KIND] == UNIT)
    died = state.seats[..., ID] == int(lost[5:])
    np.testing.assert_allclose(reward[unit & ~died], 0.01)
    np.testing.assert_allclose(reward[unit & died], -0.01)
    np.testing.assert_allclose(reward[(state.seats[..., ID] >= 0) & ~unit], [0, -0.2], atol=1e-7)


def test_the_idle_die_of_thirst_at_151_and_the_heavy_do_not() -> None:
    idle = LuxSession(TINY).play(0, ("idle", "idle"))
    assert idle["length"] == 151
    assert idle["ice"] == idle["finished"] == 0
    assert idle["factories/alive"] == 0.151
    session = LuxSession(Rules(map_size=16, length=200))
    heavy = session.play(0, ("heavy", "idle"))
    assert heavy["length"] == 151  # the other side's end
    heavy = session.play(0, ("heavy", "heavy"))
    assert heavy["length"] == 200
    assert heavy["finished"] == 1  # a whole game of these rules
    assert heavy["factories/alive"] == 1
    assert heavy["ice/factory"] > 2000
    assert heavy["units/most"] == 1


def test_the_table_names_policies_and_figures() -> None:
    games = {"heavy": play("heavy", [0, 1], Rules(map_size=16, length=40), processes=2)}
    text = table(games)
    assert text.splitlines()[0].split() == [
        "policy",
        "games",
        "length",
        "finished",
        "ice",
        "ice/factory",
        "factories/alive",
        "lichen",
    ]
    assert "40.00 (0.00)" in text


# Sessions


@pytest.fixture
def pool() -> Iterator[LuxSessions]:
    sessions = LuxSessions(Rules(map_size=16, length=30), patience_s=120)
    yield sessions
    sessions.close()


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


def _episode(session: Any, seed: int, kill_at: int | None = None) -> list[dict]:
    """Uniform actions within the masks, drawn by us; what `step` returned."""
    random = np.random.default_rng(9)
    seen = session.begin("reset", seed, ("heavy", None))
    story = [seen]
    while not (seen.get("terminated") or seen.get("truncated")):
        if len(story) == kill_at:
            os.kill(session.pid, signal.SIGKILL)
        actions = np.zeros((2, 64, 6), np.int8)
        mask = seen["masks"]
        for slot in np.flatnonzero(seen["observation"]["active"][1]):
            kind = "unit_type" if seen["observation"]["kind"][1, slot] else "factory_type"
            allowed = np.flatnonzero(mask[kind][1, slot])
            allowed = allowed[allowed != MOVE] if kind == "unit_type" else allowed
            none = 6 if kind == "unit_type" else 3
            actions[1, slot, TYPE] = random.choice(allowed) if allowed.size else none
            if kind == "unit_type" and actions[1, slot, TYPE] == TRANSFER:
                actions[1, slot, TYPE] = none
        seen = session.call("step", actions)
        story.append(seen)
    return story


def test_a_seed_is_a_game_and_a_killed_session_returns_to_it(pool: LuxSessions) -> None:
    session = pool.sessions(1)[0]
    whole = _episode(session, 3)
    assert len(whole) == 31
    assert whole[-1]["truncated"]
    assert not whole[-1]["terminated"]
    again = _episode(session, 3, kill_at=12)
    assert session.restarts == pool.restarts == 1
    for seen in (*whole, *again):
        assert min(seen.pop("seconds").values()) >= 0
    assert all(_equal(a, b) for a, b in zip(whole, again, strict=True))
    other = _episode(session, 4)
    assert not _equal(whole[0]["observation"], other[0]["observation"])
    metrics = session.call("metrics")
    assert metrics["ice/0"] == sum(seen["ice"][0] for seen in other[1:])
    with pytest.raises(UserError, match="the game is over: reset comes next"):
        session.call("step", np.zeros((2, 64, 6), np.int8))
    with pytest.raises(UserError, match="bot 'heavier' is not known; known: idle, random, heavy"):
        session.begin("reset", 0, ("heavier", None))


def test_a_replay_is_the_engines_own_and_can_be_played_again() -> None:
    rules = Rules(map_size=16, length=50)
    record = replay(7, rules, ("heavy", "random"))
    record = json.loads(json.dumps(record))
    assert set(record) == {"observations", "actions", "metadata", "default_seed"}
    assert record["metadata"] == {
        "seed": record["default_seed"], "players": {"player_0": "heavy", "player_1": "random"}
    }  # fmt: skip
    assert len(record["observations"]) == len(record["actions"]) + 1 == 50 + 3 + 1
    engine = Game(rules).engine
    engine.reset(seed=record["default_seed"])
    boards = {name: np.array(record["observations"][0]["board"][name]) for name in ("rubble",)}
    for actions, seen in zip(record["actions"], record["observations"][1:], strict=True):
        orders = {
            player: {
                name: np.array(order) if name.startswith("unit") else order
                for name, order in own.items()
            }
            for player, own in actions.items()
        }
        now = engine.step(orders)[0]["player_0"]
        for place, amount in seen["board"]["rubble"].items():
            x, y = map(int, place.split(","))
            boards["rubble"][x, y] = amount
        np.testing.assert_array_equal(boards["rubble"], now["board"]["rubble"])
        assert seen["units"] == json.loads(json.dumps(now["units"], default=lambda a: a.tolist()))
    assert sum(map(len, now["units"].values())) > 1


def test_a_picture_is_made_of_plain_shapes_on_the_board() -> None:
    session = LuxSession(TINY)
    session.reset(3, ("heavy", "random"))
    start = session.picture()
    for _ in range(20):
        session.step(np.zeros((2, 32, 6), np.int8))
    picture = session.picture()
    ground, shapes = scene(start), frame(picture, start)
    json.dumps([ground, shapes])
    assert ground["width"] == ground["height"] == 160
    for shape in ground["shapes"] + shapes:
        assert 0 <= shape["x"] <= 160
        assert 0 <= shape["y"] <= 160
        assert shape["kind"] in {"rect", "circle", "text"}
    units = sum((rows[:, KIND] == UNIT).sum() for rows in picture["rows"])
    assert sum(shape.get("r") in (3, 4.6) for shape in shapes) == units > 1
    assert any(shape.get("text") == "step 20" for shape in shapes)


def test_time_is_told_part_by_part() -> None:
    spent = LuxSession(Rules(map_size=16)).seconds(0, steps=5, units=10)
    parts = {"engine", "observation", "masks", "state", "actions", "reward", "bots"}
    assert parts | {"entities", "steps"} == set(spent)
    assert all(spent[part] > 0 for part in parts)
    assert spent["entities"] > 15
