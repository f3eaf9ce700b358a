"""A gated recurrent unit made for small batches on a CPU.

Two things make it fast there. The input projection of all steps is one large product outside of
the scan. And the backward scan, written by hand, only carries the gradient of the hidden state: the
recurrent weights' gradient is one large product after it, where automatic differentiation would
read and write the whole weight matrix at each step.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hinterland.nets.linear import Linear, uniform_init


def _gates(projected, recurrent, width):  # type: ignore[no-untyped-def]
    reset_gate = jax.nn.sigmoid(projected[..., :width] + recurrent[..., :width])
    update = jax.nn.sigmoid(projected[..., width : 2 * width] + recurrent[..., width : 2 * width])
    candidate = jnp.tanh(projected[..., 2 * width :] + reset_gate * recurrent[..., 2 * width :])
    return reset_gate, update, candidate


def cell(
    weight: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    projected: Float[Array, "*copy gates"],
    hidden: Float[Array, "*copy hidden"],
) -> Float[Array, "*copy hidden"]:
    """One step from an already projected input; gates in the order reset, update, candidate."""
    _, update, candidate = _gates(projected, hidden @ weight + bias, hidden.shape[-1])
    return candidate + update * (hidden - candidate)


@jax.custom_vjp
def unroll(
    weight: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    projected: Float[Array, "time copy gates"],
    hidden: Float[Array, "copy hidden"],
    reset: Bool[Array, "time copy"],
) -> Float[Array, "time copy hidden"]:
    """Hidden states after each step; the state is zeroed before steps marked `reset`."""
    return _forward(weight, bias, projected, hidden, reset)[0]


def _forward(weight, bias, projected, hidden, reset):  # type: ignore[no-untyped-def]
    def step(hidden, inputs):  # type: ignore[no-untyped-def]
        projected_t, reset_t = inputs
        before = jnp.where(reset_t[:, None], 0.0, hidden)
        recurrent = before @ weight + bias
        width = before.shape[-1]
        reset_gate, update, candidate = _gates(projected_t, recurrent, width)
        after = candidate + update * (before - candidate)
        return after, (after, before, reset_gate, update, candidate, recurrent[:, 2 * width :])

    _, (states, *saved) = jax.lax.scan(step, hidden, (projected, reset))
    return states, (weight, reset, *saved)


def _backward(residuals, gradient):  # type: ignore[no-untyped-def]
    weight, reset, before, reset_gate, update, candidate, recurrent_candidate = residuals
    transposed = weight.T

    def step(from_later, inputs):  # type: ignore[no-untyped-def]
        gradient_t, reset_t, before, r, z, n, recurrent_n = inputs
        total = gradient_t + from_later
        d_candidate = total * (1 - z) * (1 - n * n)
        d_update = total * (before - n) * z * (1 - z)
        d_reset = d_candidate * recurrent_n * r * (1 - r)
        d_recurrent = jnp.concatenate([d_reset, d_update, d_candidate * r], -1)
        d_before = total * z + d_recurrent @ transposed
        d_projected = jnp.concatenate([d_reset, d_update, d_candidate], -1)
        return jnp.where(reset_t[:, None], 0.0, d_before), (d_projected, d_recurrent)

    inputs = (gradient, reset, before, reset_gate, update, candidate, recurrent_candidate)
    d_hidden, (d_projected, d_recurrent) = jax.lax.scan(
        step, jnp.zeros_like(gradient[0]), inputs, reverse=True
    )
    width, gates = weight.shape
    d_weight = before.reshape(-1, width).T @ d_recurrent.reshape(-1, gates)
    return d_weight, d_recurrent.sum((0, 1)), d_projected, d_hidden, None


unroll.defvjp(_forward, _backward)


class GRU(eqx.Module):
    """GRU with PyTorch's equations, two bias vectors and default initialisation."""

    project: Linear
    weight: Float[Array, "hidden gates"]
    bias: Float[Array, " gates"]

    def __init__(self, key: Key[Array, ""], inputs: int, hidden: int) -> None:
        keys = jax.random.split(key, 4)
        project = Linear(keys[0], inputs, 3 * hidden)
        self.project = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            project,
            (
                uniform_init(keys[0], (inputs, 3 * hidden), hidden),
                uniform_init(keys[1], (3 * hidden,), hidden),
            ),
        )
        self.weight = uniform_init(keys[2], (hidden, 3 * hidden), hidden)
        self.bias = uniform_init(keys[3], (3 * hidden,), hidden)

    @property
    def width(self) -> int:
        """Size of the hidden state."""
        return self.weight.shape[0]

    def step(
        self, hidden: Float[Array, "*copy hidden"], x: Float[Array, "*copy inputs"]
    ) -> Float[Array, "*copy hidden"]:
        """The hidden state after one step."""
        return cell(self.weight, self.bias, self.project(x), hidden)

    def unroll(
        self,
        hidden: Float[Array, "copy hidden"],
        x: Float[Array, "time copy inputs"],
        reset: Bool[Array, "time copy"],
    ) -> Float[Array, "time copy hidden"]:
        """Hidden states after each step of a sequence."""
        return unroll(self.weight, self.bias, self.project(x), hidden, reset)
