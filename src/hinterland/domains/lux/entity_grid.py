"""Actor-critic of many entities on one board, after MagMA (Getlar 2023).

Two embeddings of the whole board, one for the actor and one for the critic; what an entity decides
and is worth is read off at its cell.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int8, Key

from hinterland.core import UserError
from hinterland.domains.lux.embedding import (
    HIDDEN_GAIN,
    BatchNorm,
    Conv,
    Dense,
    Embedding,
    Grid,
    Residual,
)
from hinterland.domains.lux.heads import SIZES, Heads, Masks, by_column, sample, score

OUTPUT_GAIN = 0.01
EXTRA_SCALE = 0.01

Observation = dict[str, Array]


class EntityGrid(eqx.Module):
    """Policy and value of every entity on a board.

    With 17 planes and 32 channels it has 205,746 parameters; the paper's has 208,457, of a layout
    that is not published in full.

    An observation is {"board": [batch, plane, row, column], "scalars": [batch, plane] (planes
    that are constant over the board), "cell": [batch, slots] (row * columns + column), "kind":
    [batch, slots] (0 factory, 1 unit), "active": [batch, slots] (False: an empty slot)}. Actions
    and masks are those of `heads`. Log-probability, entropy and value of empty slots are 0.

    Args of the constructor:
        planes: of board and scalars together.
        residuals: numbers of residual blocks between the convolutions.
        extra_scaling: all initial weights times another 0.01, heads included. Spectral or batch
            norm cancel it in the forward pass of the convolutions; there it makes Adam's first
            steps, which are of fixed size, a hundred times larger relative to the weights.
    """

    actor: Embedding
    critic: Embedding
    heads: dict[str, Dense]
    local_value: Dense
    global_value: Dense

    def __init__(
        self,
        key: Key[Array, ""],
        planes: int = 17,
        *,
        channels: int = 32,
        residuals: tuple[int, ...] = (2, 2),
        extra_scaling: bool = True,
        spectral_norm: bool = True,
        batch_norm: bool = True,
    ) -> None:
        actor_key, critic_key, *keys = jax.random.split(key, 4 + len(SIZES))
        extra = EXTRA_SCALE if extra_scaling else 1.0
        norms = {"spectral_norm": spectral_norm, "batch_norm": batch_norm}
        shape = (planes, channels, residuals, HIDDEN_GAIN * extra)
        self.actor = Embedding(actor_key, *shape, **norms)
        self.critic = Embedding(critic_key, *shape, **norms)
        gain = OUTPUT_GAIN * extra
        self.heads = {
            name: Dense(k, channels, size, gain)
            for k, (name, size) in zip(keys[2:], SIZES.items(), strict=True)
        }
        self.local_value = Dense(keys[0], channels, 2, gain)
        self.global_value = Dense(keys[1], channels, 2, gain)

    def act(
        self,
        key: Key[Array, ""],
        observation: Observation,
        mask: Masks,
        greedy: bool | Bool[Array, ""] = False,
    ) -> tuple[
        Int8[Array, "batch slots column"],
        Masks,
        Float[Array, "batch slots"],
        Float[Array, "batch slots"],
    ]:
        """(action, mask as used, log-probability, value); the key is consumed.

        `evaluate` must be given the mask as used: see `heads.sample`.
        """
        kind, active = observation["kind"], observation["active"]
        logits = self.logits(observation)
        _, _, height, width = observation["board"].shape
        place = (observation["cell"], (height, width))
        action, mask = sample(key, logits, mask, kind, active, *place, greedy)
        log_probability, _ = score(logits, action, mask, kind, active)
        return action, mask, log_probability, self.value(observation)

    def evaluate(
        self, observation: Observation, action: Int8[Array, "batch slots column"], mask: Masks
    ) -> tuple[
        Float[Array, "batch slots"], Float[Array, "batch slots"], Float[Array, "batch slots"]
    ]:
        """(log-probability, entropy, value) of stored actions under this network."""
        kind, active = observation["kind"], observation["active"]
        log_probability, entropy = score(self.logits(observation), action, mask, kind, active)
        return log_probability, entropy, self.value(observation)

    def logits(self, observation: Observation) -> Heads:
        """Unmasked logits of every slot's heads."""
        at_entity = _at(self.actor(self._planes(observation)), observation["cell"])
        heads = {name: head(at_entity) for name, head in self.heads.items()}
        return by_column(heads, observation["kind"])

    def value(self, observation: Observation) -> Float[Array, "batch slots"]:
        """Its kind's map at an entity's cell, plus the mean over the board of its kind's other map.

        The maps are linear in the embedding, so only what is read of them is computed.
        """
        x = self.critic(self._planes(observation))
        maps = self.local_value(_at(x, observation["cell"]))
        maps += self.global_value(x.mean((1, 2)))[:, None, :]
        value = jnp.where(observation["kind"] == 1, maps[..., 0], maps[..., 1])
        return jnp.where(observation["active"], value, 0.0)

    def with_statistics(self, observation: Observation) -> "EntityGrid":
        """The network with the batch norms' statistics of these observations.

        Call it on a new network, whose channels it makes standard, before the first action; then
        once per learning cycle, which keeps every probability and value as it is (up to rounding).
        Some hundred observations are enough; all activations of a layer are held at once.
        """
        x = self._planes(observation)
        embeddings = (self.actor.measured(x), self.critic.measured(x))
        return eqx.tree_at(lambda net: (net.actor, net.critic), self, embeddings)

    def _planes(self, observation: Observation) -> Grid:
        """Board planes, then the scalars as constant planes; channels last."""
        board = jnp.moveaxis(observation["board"].astype(jnp.float32), 1, -1)
        scalars = observation["scalars"].astype(jnp.float32)[:, None, None, :]
        found, expected = board.shape[-1] + scalars.shape[-1], self.actor.planes
        if found != expected:
            raise UserError(
                f"the observation has {found} planes (board {board.shape[-1]}, scalars "
                f"{scalars.shape[-1]}) but the network was made for {expected}; make it with "
                f"planes={found}"
            )
        tiled = jnp.broadcast_to(scalars, (*board.shape[:3], scalars.shape[-1]))
        return jnp.concatenate([board, tiled], -1)


def trainable(network: EntityGrid) -> EntityGrid:
    """The network's tree with True at parameters and False at statistics.

    The latters' gradients are 0 in any case; this is for decay, counting and partitioning.
    """

    def statistics(tree: EntityGrid) -> list[Array]:
        leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, BatchNorm))
        norms = [x for x in leaves if isinstance(x, BatchNorm)]
        return [x for norm in norms for x in (norm.mean, norm.variance)]

    flags = jax.tree.map(lambda _: True, network)
    return eqx.tree_at(statistics, flags, replace_fn=lambda _: False)


def to_numpy(network: EntityGrid) -> dict[str, np.ndarray]:
    """The actor for `numpy_grid`: float32 arrays by name, norms folded into the convolutions."""
    arrays: dict[str, Array] = {}
    for i, layer in enumerate(network.actor.layers):
        convs = (
            {"conv": layer} if isinstance(layer, Conv) else {"1": layer.first, "2": layer.second}
        )
        for name, conv in convs.items():
            arrays[f"{i}/{name}/weight"], arrays[f"{i}/{name}/bias"] = conv.folded()
        if isinstance(layer, Residual):
            arrays |= _named(f"{i}/squeeze", layer.squeeze) | _named(f"{i}/excite", layer.excite)
    for name, head in network.heads.items():
        arrays |= _named(f"head/{name}", head)
    return {name: np.asarray(x, np.float32) for name, x in arrays.items()}


def _named(name: str, layer: Dense) -> dict[str, Array]:
    return {f"{name}/weight": layer.weight, f"{name}/bias": layer.bias}


def _at(x: Grid, cell: Int[Array, "batch slots"]) -> Float[Array, "batch slots channel"]:
    """The vectors at the entities' cells. Empty slots may name any cell."""
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return jnp.take_along_axis(flat, cell[..., None], 1, mode="clip")
