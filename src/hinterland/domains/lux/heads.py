"""Decisions of many entities: a type first, then only the parameters that this type needs.

The words are those of Lux AI S2. An action is six numbers: type, move direction, transfer
direction, transfer resource, pickup amount, recharge amount; heads that a type does not use stay 0.
All heads of all entities are one array [batch, slots, head, entry], padded with impossible entries.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int8, Key

UNIT_NOTHING, FACTORY_NOTHING, MOVE = 6, 3, 0
SIZES = {
    "factory_type": 4,
    "unit_type": 7,
    "move_direction": 5,
    "transfer_direction": 5,
    "transfer_resource": 5,
    "pickup_amount": 10,
    "recharge_amount": 10,
}
"""Entries of each head."""
PARAMETERS = tuple(SIZES)[2:]
"""The heads behind columns 1 to 5 of an action."""
USED_BY = (0, 1, 1, 2, 5)
"""The unit's type that uses each parameter."""
ENTRIES = max(SIZES.values())
IMPOSSIBLE = -1e10
"""Logit of an entry that is masked out: its probability is exactly 0."""
STEPS = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))
"""(x, y) of the directions: centre, up, right, down, left."""

Heads = Float[Array, "batch slots head entry"]
Masks = dict[str, Bool[Array, "batch slots _entry"]]


def by_column(
    heads: dict[str, Float[Array, "batch slots _entry"]], kind: Int[Array, "batch slots"]
) -> Heads:
    """One array from the logits of every head in `SIZES`; `kind` chooses between the types."""
    pad = {name: _padded(x, IMPOSSIBLE) for name, x in heads.items()}
    types = jnp.where(kind[..., None] == 1, pad["unit_type"], pad["factory_type"])
    return jnp.stack([types, *(pad[name] for name in PARAMETERS)], -2)


def relevant(
    mask: Masks, kind: Int[Array, "batch slots"], active: Bool[Array, "batch slots"]
) -> Masks:
    """The masks with False wherever a slot is empty or a head belongs to the other kind."""
    unit = (active & (kind == 1))[..., None]
    factory = (active & (kind == 0))[..., None]
    return {name: m & (factory if name == "factory_type" else unit) for name, m in mask.items()}


def score(
    logits: Heads,
    action: Int8[Array, "batch slots column"],
    mask: Masks,
    kind: Int[Array, "batch slots"],
    active: Bool[Array, "batch slots"],
) -> tuple[Float[Array, "batch slots"], Float[Array, "batch slots"]]:
    """(log-probability, entropy) of each entity, summed over the heads that its action used.

    A head without any possible entry decides nothing and adds 0 to both.
    """
    possible = _mask_by_column(relevant(mask, kind, active)) & _used(action, kind)[..., None]
    log_probability = jax.nn.log_softmax(jnp.where(possible, logits, IMPOSSIBLE))
    entry = action.astype(jnp.int32)[..., None]
    chosen = jnp.take_along_axis(log_probability, entry, -1)[..., 0]
    chosen = jnp.where(possible.any(-1), chosen, 0.0).sum(-1)
    surprise = -jnp.exp(log_probability) * log_probability
    return chosen, jnp.where(possible, surprise, 0.0).sum((-2, -1))


def sample(
    key: Key[Array, ""],
    logits: Heads,
    mask: Masks,
    kind: Int[Array, "batch slots"],
    active: Bool[Array, "batch slots"],
    cell: Int[Array, "batch slots"],
    board: tuple[int, int],
    greedy: bool | Bool[Array, ""] = False,
) -> tuple[Int8[Array, "batch slots column"], Masks]:
    """(action, mask as used); the key is consumed.

    Slots decide in order and units reserve tiles: at first each active unit holds its own; one that
    decides lets go of it and takes its target. Moves onto held tiles or off the board are masked
    out, and moving itself once no direction is left. As units start on distinct tiles, they also
    end there. Whoever scores the action later needs the mask as it was then: it is returned.

    Args:
        cell: y * width + x.
        board: (height, width).
        greedy: take the likeliest entry of each head instead of drawing one.
    """
    mask = relevant(mask, kind, active)
    noise = jax.random.gumbel(key, logits.shape)  # argmax(logits + noise) is a draw of the softmax
    scores = logits + jnp.where(greedy, 0.0, noise)
    unit = kind == 1
    by_slot = (
        unit,
        _mask_by_column(mask)[:, :, 0],
        scores[:, :, 0],
        mask["move_direction"],
        scores[:, :, 1, : SIZES["move_direction"]],
        _targets(cell, board),
    )
    inputs = (jnp.arange(cell.shape[1]), *(jnp.moveaxis(x, 1, 0) for x in by_slot))
    _, decided = jax.lax.scan(_decide, jnp.where(active & unit, cell, -1), inputs)
    chosen, can_move, moves = (jnp.moveaxis(x, 0, 1) for x in decided)
    unit_type = mask["unit_type"].at[..., MOVE].set(can_move)
    mask = {**mask, "unit_type": unit_type, "move_direction": moves}
    entries = jnp.argmax(jnp.where(_mask_by_column(mask), scores, -jnp.inf), -1)
    action = entries.at[..., 0].set(chosen).astype(jnp.int8)
    return jnp.where(_used(action, kind), action, 0).astype(jnp.int8), mask


def _decide(held, inputs):  # type: ignore[no-untyped-def]
    """(tiles held, (type, whether it can move, possible moves)) after one slot of each board."""
    slot, is_unit, types, type_scores, moves, move_scores, target = inputs
    others = jnp.where(jnp.arange(held.shape[1]) == slot, -1, held)
    taken = (others[:, None, :] == target[:, :, None]).any(-1) | (target < 0)
    moves &= ~taken
    can_move = types[:, MOVE] & moves.any(-1)  # False for factories, which have no moves
    types = types.at[:, MOVE].set(jnp.where(is_unit, can_move, types[:, MOVE]))
    chosen = jnp.argmax(jnp.where(types, type_scores, -jnp.inf), -1)
    nothing = jnp.where(is_unit, UNIT_NOTHING, FACTORY_NOTHING)
    chosen = jnp.where(types.any(-1), chosen, nothing)
    direction = jnp.argmax(jnp.where(moves, move_scores, -jnp.inf), -1)
    reached = jnp.take_along_axis(target, direction[:, None], 1)[:, 0]
    reached = jnp.where(is_unit & (chosen == MOVE), reached, held[:, slot])
    return held.at[:, slot].set(reached), (chosen, can_move, moves)


def _targets(
    cell: Int[Array, "batch slots"], board: tuple[int, int]
) -> Int[Array, "batch slots direction"]:
    """The cell that each direction leads to; -1 off the board."""
    height, width = board
    steps = jnp.array(STEPS)
    x, y = cell[..., None] % width + steps[:, 0], cell[..., None] // width + steps[:, 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return jnp.where(inside, y * width + x, -1)


def _used(
    action: Int8[Array, "batch slots column"], kind: Int[Array, "batch slots"]
) -> Bool[Array, "batch slots column"]:
    parameters = (action[..., :1] == jnp.array(USED_BY)) & (kind[..., None] == 1)
    return jnp.concatenate([jnp.ones_like(parameters[..., :1]), parameters], -1)


def _mask_by_column(mask: Masks) -> Bool[Array, "batch slots head entry"]:
    """`mask` must be `relevant`: of the two kinds' types, one is all False."""
    pad = {name: _padded(m, False) for name, m in mask.items()}
    types = pad["unit_type"] | pad["factory_type"]
    parameters = (pad["amount" if "amount" in name else name] for name in PARAMETERS)
    return jnp.stack([types, *parameters], -2)


def _padded(x: Array, value: float | bool) -> Array:
    missing = ENTRIES - x.shape[-1]
    return jnp.pad(x, ((0, 0), (0, 0), (0, missing)), constant_values=value)
