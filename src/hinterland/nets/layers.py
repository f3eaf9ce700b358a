"""Layers: a dense one, and a gated recurrent unit made for small batches on a CPU.

Three things make the latter fast there. The input projection of all steps is one large product
outside of the scan. The gates are arrays of their own: XLA vectorises the functions of whole
arrays, not of slices. And the backward scan, written by hand, only carries the gradient of the
hidden state: the recurrent weights' gradient is one large product after it, where automatic
differentiation would read and write the whole weight matrix at each step.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key


def uniform_init(key: Key[Array, ""], shape: tuple[int, ...], fan: int) -> Float[Array, "..."]:
    """Uniform on ±1/sqrt(fan): PyTorch's default, which the paper's code relies on."""
    bound = fan**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Linear(eqx.Module):
    """y = x W + b."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, key: Key[Array, ""], inputs: int, outputs: int) -> None:
        weight_key, bias_key = jax.random.split(key)
        self.weight = uniform_init(weight_key, (inputs, outputs), inputs)
        self.bias = uniform_init(bias_key, (outputs,), inputs)

    def __call__(self, x: Float[Array, "*any inputs"]) -> Float[Array, "*any outputs"]:
        """Applies the layer to the last axis."""
        return x @ self.weight + self.bias


def _by_gate(x: Array) -> list[Array]:
    return jnp.split(x, 3, axis=-1)


def _cell(weights, biases, projected, hidden):  # type: ignore[no-untyped-def]
    """(next hidden state, what the backward pass needs), all gates as separate arrays."""
    reset = jax.nn.sigmoid(projected[0] + hidden @ weights[0] + biases[0])
    update = jax.nn.sigmoid(projected[1] + hidden @ weights[1] + biases[1])
    recurrent = hidden @ weights[2] + biases[2]
    candidate = jnp.tanh(projected[2] + reset * recurrent)
    return candidate + update * (hidden - candidate), (reset, update, candidate, recurrent)


@jax.custom_vjp
def unroll(
    weight: Float[Array, "hidden gates"],
    bias: Float[Array, " gates"],
    projected: tuple[Float[Array, "time copy hidden"], ...],
    hidden: Float[Array, "copy hidden"],
    reset: Bool[Array, "time copy"],
) -> Float[Array, "time copy hidden"]:
    """Hidden states after each step; the state is zeroed before steps marked `reset`."""
    return _forward(weight, bias, projected, hidden, reset)[0]


def _forward(weight, bias, projected, hidden, reset):  # type: ignore[no-untyped-def]
    weights, biases = _by_gate(weight), _by_gate(bias)

    def step(hidden, inputs):  # type: ignore[no-untyped-def]
        projected_t, reset_t = inputs
        before = jnp.where(reset_t[:, None], 0.0, hidden)
        after, gates = _cell(weights, biases, projected_t, before)
        return after, (after, before, *gates)

    _, (states, *saved) = jax.lax.scan(step, hidden, (projected, reset))
    return states, (weight, reset, *saved)


def _backward(residuals, gradient):  # type: ignore[no-untyped-def]
    weight, reset, before, *gates = residuals
    transposed = [w.T for w in _by_gate(weight)]

    def step(from_later, inputs):  # type: ignore[no-untyped-def]
        gradient_t, reset_t, before, r, z, n, recurrent = inputs
        total = gradient_t + from_later
        d_candidate = total * (1 - z) * (1 - n * n)
        d_update = total * (before - n) * z * (1 - z)
        d_reset = d_candidate * recurrent * r * (1 - r)
        through = (d_reset, d_update, d_candidate * r)
        products = [d @ w for d, w in zip(through, transposed, strict=True)]
        d_before = total * z + sum(products)
        return jnp.where(reset_t[:, None], 0.0, d_before), (through, d_candidate)

    d_hidden, (through, d_candidate) = jax.lax.scan(
        step, jnp.zeros_like(gradient[0]), (gradient, reset, before, *gates), reverse=True
    )
    # Transposed once, and kept so, for three products; XLA would transpose it for each of them.
    states = jax.lax.optimization_barrier(before.reshape(-1, before.shape[-1]).T)
    d_weight = jnp.concatenate([states @ d.reshape(-1, d.shape[-1]) for d in through], -1)
    d_bias = jnp.concatenate([d.sum((0, 1)) for d in through])
    return d_weight, d_bias, (through[0], through[1], d_candidate), d_hidden, None


unroll.defvjp(_forward, _backward)


class GRU(eqx.Module):
    """GRU with PyTorch's equations, two bias vectors and default initialisation.

    The columns of every weight are those of the reset, the update and the candidate gate.
    """

    project: Linear
    weight: Float[Array, "hidden gates"]
    bias: Float[Array, " gates"]

    def __init__(self, key: Key[Array, ""], inputs: int, hidden: int) -> None:
        keys = jax.random.split(key, 4)
        shapes = ((inputs, 3 * hidden), (3 * hidden,), (hidden, 3 * hidden), (3 * hidden,))
        drawn = [uniform_init(k, shape, hidden) for k, shape in zip(keys, shapes, strict=True)]
        project = Linear(keys[0], inputs, 3 * hidden)
        self.project = eqx.tree_at(lambda x: (x.weight, x.bias), project, tuple(drawn[:2]))
        self.weight, self.bias = drawn[2:]

    @property
    def width(self) -> int:
        """Size of the hidden state."""
        return self.weight.shape[0]

    def step(
        self, hidden: Float[Array, "*copy hidden"], x: Float[Array, "*copy inputs"]
    ) -> Float[Array, "*copy hidden"]:
        """The hidden state after one step."""
        return _cell(_by_gate(self.weight), _by_gate(self.bias), self._project(x), hidden)[0]

    def unroll(
        self,
        hidden: Float[Array, "copy hidden"],
        x: Float[Array, "time copy inputs"],
        reset: Bool[Array, "time copy"],
    ) -> Float[Array, "time copy hidden"]:
        """Hidden states after each step of a sequence."""
        return unroll(self.weight, self.bias, self._project(x), hidden, reset)

    def _project(self, x: Array) -> tuple[Array, ...]:
        weights, biases = _by_gate(self.project.weight), _by_gate(self.project.bias)
        return tuple(x @ w + b for w, b in zip(weights, biases, strict=True))
