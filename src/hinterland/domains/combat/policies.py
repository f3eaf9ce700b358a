"""Hand-written policies of one unit, for either side; they see its observation and mask only.

Of graded strength: random < nearest < coordinated. Each scores all actions and takes the best one
that is possible.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hinterland.core import EntityPolicy
from hinterland.domains.combat.actions import TRACKS
from hinterland.domains.combat.observation import SECTORS, read
from hinterland.domains.combat.rules import (
    BARRAGE,
    BARRAGE_JAM_RANGE,
    FREQUENCIES,
    HALF,
    MID,
    POINT_JAM_RANGE,
)
from hinterland.domains.combat.state import DIRECTIONS

NEVER = -1e9
FIRE, PROTECT, RETUNE, JAM, FLY = 50.0, 40.0, 30.0, 20.0, 10.0
"""Scores of what matters more before what matters less; a course adds its cosine to FLY."""
STANDOFF = 80.0
"""km that a detector keeps from the nearest track."""
LONG_SHOTS, MID_SHOTS = 2, 3
"""Missiles that the coordinated rule spends on a target at once."""
PROTECT_STEPS = 2
"""Steps before a missile's arrival at which it begins to jam; earlier it would blind itself."""


def random(
    key: Key[Array, ""], observation: Float[Array, " observation"], mask: Bool[Array, " actions"]
) -> Int[Array, ""]:
    """Any possible action."""
    return jax.random.categorical(key, jnp.where(mask, 0.0, NEVER))


class Scores(NamedTuple):
    """Of all actions, in the order of `actions`; the best possible one is taken."""

    fly: Float[Array, " ways"]
    radar: Float[Array, " settings"]
    jammer: Float[Array, " settings"]
    long: Float[Array, " tracks"]
    mid: Float[Array, " tracks"]

    def best(self, key: Key[Array, ""], mask: Bool[Array, " actions"]) -> Int[Array, ""]:
        """Of equally good actions any."""
        scores = jnp.concatenate(self)
        jitter = 1e-3 * jax.random.uniform(key, scores.shape)
        return jnp.where(mask, scores + jitter, 2 * NEVER).argmax()


def _fly(own: dict[str, Array], goal: Float[Array, " 2"]) -> Float[Array, " ways"]:
    """Scores of keeping the present course and of each course, best along `goal`."""
    goal = goal / jnp.maximum(jnp.sqrt((goal**2).sum()), 1e-6)
    ways = jnp.concatenate([own["heading"][None], jnp.asarray(DIRECTIONS)])
    return FLY + ways @ goal


def _setting(score: float, when: Bool[Array, " settings"]) -> Float[Array, " settings"]:
    return jnp.where(when, score, NEVER)


def _search(own: dict[str, Array]) -> Float[Array, " 2"]:
    """Where to look without a track: where one is heard, else the enemy's base."""
    angles = 2 * jnp.pi * jnp.arange(SECTORS) / SECTORS
    heard = own["heard_radars"] + own["heard_jammers"]
    bearing = heard @ jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
    ahead = jnp.array([1.0, 0.0]) - own["position"]
    return jnp.where(heard.any(), bearing, ahead)


def _retune(own: dict[str, Array]) -> Bool[Array, " settings"]:
    """Any other frequency, if the radar is off or blinded."""
    needed = (own["blinded"] > 0) | (own["radar"][0] > 0)
    return needed & (jnp.arange(1 + FREQUENCIES) > 0)


def nearest(
    key: Key[Array, ""], observation: Float[Array, " observation"], mask: Bool[Array, " actions"]
) -> Int[Array, ""]:
    """Flies at the nearest track and fires at what is in range, nearest first; never jams.

    Not at what a missile is under way to; but all who are in range fire the first one at once.
    """
    own, tracks, _ = read(observation)
    goal = jnp.where(tracks["known"][0] > 0, tracks["offset"][0], _search(own))
    order = jnp.arange(TRACKS)
    free = tracks["under_way"] == 0
    scores = Scores(
        fly=_fly(own, goal),
        radar=_setting(RETUNE, _retune(own)),
        jammer=jnp.full(2 + FREQUENCIES, NEVER),
        long=jnp.where(free & (tracks["in_long"] > 0), FIRE - order, NEVER),
        mid=jnp.where(free & (tracks["in_mid"] > 0), FIRE + 0.5 - order, NEVER),
    )
    return scores.best(key, mask)


def coordinated(
    key: Key[Array, ""], observation: Float[Array, " observation"], mask: Bool[Array, " actions"]
) -> Int[Array, ""]:
    """Shares targets by the joint picture, and jams: for friends, and against missiles.

    Long-range missiles are fired by the two armed friends nearest to a target, mid-range ones by
    the nearest three, less what is under way to it. Who is about to be hit jams the whole band; who
    stands further back jams the frequency of the nearest enemy. Detectors keep away, and the
    unarmed go home.
    """
    own, tracks, _ = read(observation)
    detector, armed = own["detector"] > 0, own["missiles"].any()
    known, near = tracks["known"][0] > 0, tracks["distance"][0] * HALF
    offset = tracks["offset"][0]
    away = jnp.where(near < STANDOFF, -offset, offset)
    hunted = jnp.where(detector, away, jnp.where(armed, offset, jnp.array([-1.0, 0.0])))
    goal = jnp.where(known, hunted, _search(own))

    rank = 4 * tracks["nearer"]
    taken = 2 * tracks["under_way"] + rank
    no_mid = own["missiles"][MID] == 0
    long = (tracks["in_long"] > 0) & ((tracks["in_mid"] == 0) | no_mid) & (taken < LONG_SHOTS)
    mid = (tracks["in_mid"] > 0) & (taken < MID_SHOTS)

    in_barrage, shot_at = own["jammer"][BARRAGE] > 0, own["incoming"] > 0
    protect = (own["soonest"] >= 1 / PROTECT_STEPS) & known & (near < BARRAGE_JAM_RANGE)
    support = (rank[0] > 1) & (near < POINT_JAM_RANGE) & ~shot_at & ~in_barrage
    theirs = support & (tracks["frequency"][0] > 0) & (own["radar"][1:] == 0)
    settings = jnp.arange(2 + FREQUENCIES)
    jam = jnp.pad(theirs, 1)
    switch = ((settings == 0) & in_barrage & ~shot_at) | ((settings == BARRAGE) & protect)
    order = jnp.arange(TRACKS)
    scores = Scores(
        fly=_fly(own, goal),
        radar=_setting(RETUNE, _retune(own) & ~in_barrage),
        jammer=jnp.maximum(_setting(PROTECT, switch), _setting(JAM, jam)),
        long=jnp.where(long, FIRE - order, NEVER),
        mid=jnp.where(mid, FIRE + 0.5 - order, NEVER),
    )
    return scores.best(key, mask)


SCRIPTED: Mapping[str, EntityPolicy] = {
    "random": random,
    "nearest": nearest,
    "coordinated": coordinated,
}
