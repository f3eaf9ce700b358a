"""The teaching domain, the conformance kit, and what it says about broken domains."""

import jax.numpy as jnp
import pytest

from hinterland.core import UserError
from hinterland.domains import known_domains, load_domain
from hinterland.domains.corridor import Conveyor, Corridor, Station
from hinterland.testing import check_domain


@pytest.mark.parametrize(("name", "agents"), [("corridor", 1), ("corridor", 5), ("warehouse", 4)])
def test_our_own_domains_conform(name: str, agents: int) -> None:
    assert len(check_domain(load_domain(name, agents))) == 5


def test_a_corridor_step_by_hand() -> None:
    whole = Conveyor(3)
    # Holding 1, 2, 0; all push; the world sends a parcel.
    moved = whole.step(jnp.array([1, 2, 0]), jnp.array([1, 1, 1]), jnp.float32(0.1))
    assert moved.influence[:, 0].tolist() == [1, 1, 1]
    assert moved.state.tolist() == [1, 2, 1]
    assert moved.reward.tolist() == pytest.approx([1.0, 1.0, -0.2])
    # Nobody pushes; a parcel arrives at a full station and is lost.
    moved = whole.step(jnp.array([2, 0, 0]), jnp.array([0, 0, 0]), jnp.float32(0.1))
    assert moved.state.tolist() == [2, 0, 0]
    assert moved.reward.tolist() == pytest.approx([-0.5, 0.0, 0.0])


def _broken(**parts: object) -> Corridor:
    domain = Corridor(3)
    for name, part in parts.items():
        setattr(domain, name, part)
    return domain


class _NaNReward(Conveyor):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(reward=moved.reward / jnp.where(state.sum() > 2, 0.0, 1.0) * 0)


class _WrongInfluenceShape(Conveyor):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(influence=moved.influence[:, 0])


class _ForgetsTheLast(Conveyor):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(state=moved.state.at[-1].set(0))


class _ClassTooLarge(Conveyor):
    def step(self, state, actions, noise):
        moved = super().step(state, actions, noise)
        return moved._replace(influence=moved.influence + 1)


class _LongObservation(Station):
    def observe(self, state):
        return jnp.zeros(4)


class _Raises(Station):
    def dset(self, state):
        raise KeyError("speed")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"global_simulator": _NaNReward(3)}, "reward at step .*: not finite"),
        (
            {"global_simulator": _WrongInfluenceShape(3)},
            r"influence: shape \[3\], expected \[3, 1\]",
        ),
        ({"global_simulator": _ForgetsTheLast(3)}, "factorisation: state of agent 2 at step"),
        ({"global_simulator": _ClassTooLarge(3)}, "class 2; classes are 0 .. 1"),
        ({"local_simulator": _LongObservation()}, r"observe: shape \[4\], expected \[3\]"),
        ({"local_simulator": _Raises()}, r"dset: raised KeyError: 'speed'"),
        ({"scripted": {}}, "has no policy 'random'"),
    ],
)
def test_a_broken_domain_is_told_what_is_wrong(parts: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_domain(_broken(**parts))


def test_an_unknown_domain_lists_the_known_ones() -> None:
    with pytest.raises(
        UserError, match="'warehous' is not known; known: colony, combat, corridor, lux, pettingz"
    ):
        load_domain("warehous", 4)
    known = "colony combat corridor lux pettingzoo smax traffic warehouse"
    assert known_domains() == known.split()


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="cannot import module 'no_such_module'"):
        load_domain("no_such_module:make", 4)
    with pytest.raises(UserError, match="has no function 'nothing'"):
        load_domain("hinterland.domains.corridor:nothing", 4)
