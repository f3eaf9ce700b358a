"""The decisions of a trained `EntityGrid`, with NumPy alone.

This one file and an .npz of `to_numpy(network)` are all that an exported agent needs of the
network; it runs on Python 3.7 and NumPy 1.21, as the server of the Lux AI competition does. One
observation at a time, without a batch axis. Words, heads and directions: see `heads`.
"""

import numpy as np

UNIT, MOVE = 1, 0
NOTHING = (3, 6)
PARAMETERS = (
    # head, its mask, the unit's type that uses it: columns 1 to 5 of an action
    ("move_direction", "move_direction", 0),
    ("transfer_direction", "transfer_direction", 1),
    ("transfer_resource", "transfer_resource", 1),
    ("pickup_amount", "amount", 2),
    ("recharge_amount", "amount", 5),
)
STEPS = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))
SLOPE = np.float32(0.01)


def decide(weights, observation, mask, random=None):
    """Actions [slots, 6] (int8) of the active slots in order, each unit reserving its tile.

    Args:
        weights: arrays by name.
        observation: {"board": [plane, row, column], "scalars": [plane], "cell", "kind", "active":
            [slots]}.
        mask: allowed entries by head, each [slots, entry].
        random: a NumPy generator to draw from; None takes the likeliest entries.
    """
    heads = logits(weights, observation)
    if random is not None:
        # argmax(logits + Gumbel noise) is a draw from the softmax
        heads = {name: x + random.gumbel(size=x.shape) for name, x in sorted(heads.items())}
    cell, kind = observation["cell"], observation["kind"]
    active = np.flatnonzero(observation["active"])
    action = np.zeros((len(cell), 6), np.int8)
    action[:, 0] = np.where(np.asarray(kind) == UNIT, NOTHING[1], NOTHING[0])
    held = {int(cell[slot]) for slot in active if kind[slot] == UNIT}
    for slot in active:
        if kind[slot] == UNIT:
            size = observation["board"].shape[-2:]
            held.discard(int(cell[slot]))
            action[slot], reached = _unit(slot, heads, mask, int(cell[slot]), held, size)
            held.add(reached)
        else:
            allowed = mask["factory_type"][slot]
            action[slot, 0] = _best(heads["factory_type"][slot], allowed, NOTHING[0])
    return action


def logits(weights, observation):
    """Unmasked logits by head, each [slots, entry]."""
    board = np.moveaxis(np.asarray(observation["board"], np.float32), 0, -1)
    scalars = np.asarray(observation["scalars"], np.float32)
    tiled = np.broadcast_to(scalars, board.shape[:2] + scalars.shape)
    x = _embed(weights, np.concatenate([board, tiled], -1))
    cells = np.clip(observation["cell"], 0, x.shape[0] * x.shape[1] - 1)
    at_entity = x.reshape(-1, x.shape[-1])[cells]
    names = sorted({name.split("/")[1] for name in weights if name.startswith("head/")})
    return {name: _linear(weights, "head/" + name, at_entity) for name in names}


def _unit(slot, heads, mask, cell, held, size):
    """(action [6], the cell it then holds) of one unit while others hold the cells in `held`."""
    targets = _targets(cell, size)
    moves = np.array([target >= 0 and target not in held for target in targets])
    moves &= np.asarray(mask["move_direction"][slot], bool)
    types = np.array(mask["unit_type"][slot], bool)
    types[MOVE] &= moves.any()
    action = np.zeros(6, np.int8)
    action[0] = _best(heads["unit_type"][slot], types, NOTHING[1])
    for column, (head, name, used_by) in enumerate(PARAMETERS, 1):
        if action[0] == used_by:
            allowed = moves if head == "move_direction" else mask[name][slot]
            action[column] = _best(heads[head][slot], allowed, 0)
    return action, targets[action[1]] if action[0] == MOVE else cell


def _targets(cell, size):
    """The cell that each direction leads to; -1 off the board."""
    height, width = size
    places = [(cell % width + dx, cell // width + dy) for dx, dy in STEPS]
    return [y * width + x if 0 <= x < width and 0 <= y < height else -1 for x, y in places]


def _best(scores, allowed, otherwise):
    """The allowed entry of highest score; `otherwise` where none is allowed."""
    allowed = np.asarray(allowed, bool)
    return int(np.argmax(np.where(allowed, scores, -np.inf))) if allowed.any() else otherwise


def _embed(weights, x):
    """One vector per cell, [row, column, channel]."""
    layer = 0
    while True:
        name = str(layer)
        if name + "/conv/weight" in weights:
            x = _conv(weights, name + "/conv", x)
        elif name + "/1/weight" in weights:
            y = _conv(weights, name + "/2", _conv(weights, name + "/1", x))
            squeezed = _leaky(_linear(weights, name + "/squeeze", y.mean((0, 1))))
            x = x + y / (1 + np.exp(-_linear(weights, name + "/excite", squeezed)))
        else:
            return x
        layer += 1


def _conv(weights, name, x):
    """3×3 convolution with bias, zero beyond the border, then LeakyReLU."""
    kernel = weights[name + "/weight"]
    height, width, inputs = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    shifted = [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = np.concatenate(shifted, -1).reshape(height * width, 9 * inputs)
    y = patches @ kernel.reshape(9 * inputs, -1) + weights[name + "/bias"]
    return _leaky(y.reshape(height, width, -1))


def _linear(weights, name, x):
    return x @ weights[name + "/weight"] + weights[name + "/bias"]


def _leaky(x):
    return np.where(x > 0, x, SLOPE * x)
