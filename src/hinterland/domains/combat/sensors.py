"""Who sees, blinds and hears whom."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hinterland.domains.combat.rules import (
    BARRAGE,
    BARRAGE_JAM_RANGE,
    HALF_BEAM_COSINE,
    MEMORY,
    POINT_JAM_RANGE,
    Forces,
)
from hinterland.domains.combat.state import UNKNOWN, Side, direction, turned


def in_beam(
    along: Float[Array, "*#shape 2"],
    offset: Float[Array, "*#shape 2"],
    distance: Float[Array, "..."],
) -> Bool[Array, "..."]:
    """Whether what lies at `offset` is within 60 degrees of the direction `along`."""
    return (along * offset).sum(-1) >= HALF_BEAM_COSINE * distance


def sense(forces: Forces, mine: Side, theirs: Side) -> Side:
    """What the radars of `mine` show after everybody has moved, and the tracks made of it.

    A radar sees a living enemy within its range and field of view, unless it is blinded: by an
    enemy's jammer on its band and frequency (or in barrage) that stands in its field of view, is in
    reach and has it in its own beam; or by the jammer of its own unit, as both share the nose.
    """
    offset = -theirs.position - mine.position[:, None]
    distance = jnp.sqrt((offset**2).sum(-1))
    all_round = jnp.asarray(forces.detector)[:, None]
    in_view = in_beam(direction(mine.course)[:, None], offset, distance) | all_round
    their_beam = in_beam(direction(turned(theirs.course)), -offset, distance)

    living = mine.alive[:, None] & theirs.alive
    band = jnp.asarray(forces.radar_band)
    their_jammer = jnp.where(theirs.alive, theirs.jammer, 0)
    barrage = their_jammer == BARRAGE
    reach = jnp.where(barrage, BARRAGE_JAM_RANGE, POINT_JAM_RANGE)
    same = (band[:, None] == jnp.asarray(forces.jammer_band)) & (
        barrage | (their_jammer == mine.radar[:, None])
    )
    on = mine.radar > 0
    jammed = (same & (their_jammer > 0) & (distance <= reach) & their_beam & in_view).any(1)
    own = (band == jnp.asarray(forces.jammer_band)) & (
        (mine.jammer == mine.radar) | (mine.jammer == BARRAGE)
    )
    blinded = mine.alive & on & (jammed | own)
    sees = living & (on & ~blinded)[:, None] & in_view
    contact = sees & (distance <= jnp.asarray(forces.radar_range)[:, None])

    their_radar = (theirs.radar > 0) & (their_beam | jnp.asarray(forces.detector))
    received = living & (their_radar | ((their_jammer > 0) & their_beam))

    seen = contact.any(0)
    older = jnp.where(mine.track_age < MEMORY, mine.track_age + 1, UNKNOWN)
    age = jnp.where(seen, 0, jnp.where(theirs.alive, older, UNKNOWN))
    return mine._replace(
        contact=contact,
        blinded=blinded,
        received=received,
        track_position=jnp.where(seen[:, None], -theirs.position, mine.track_position),
        track_course=jnp.where(seen, turned(theirs.course), mine.track_course),
        track_age=age,
        found=mine.found | seen,
    )
