"""A convolutional embedding of a board: one vector per cell.

Boards are [batch, row, column, channel]: on CPU, XLA's convolution in that layout took about half
the time of products with gathered patches, forward and backward; bfloat16 gained nothing.

**Batch normalisation uses statistics that stand still.** They are leaves of the network which only
`measured` changes, from observations. Normalising by the batch at hand, as PyTorch does in training
mode, would make an entity's probability depend on whatever else is in its minibatch: acting on 16
boards and learning from 512 would disagree (probability ratio ≠ 1 before any step was taken), and
cutting a minibatch for memory, or over devices, would change the result. Here both are the same
function of one board.

**Only the first measurement changes what a network computes**: it makes every channel standard.
Later ones move scale and shift along, so that the map stays and only its coordinates, in which the
optimiser steps, are standard again. Merely putting in new statistics after the weights moved on for
a hundred steps destroyed what those steps had learned (a regression of values: mean squared error
0.11 before, 0.61 after, 0.68 being the variance of the target).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

SLOPE = 0.01
"""Of LeakyReLU below 0."""
HIDDEN_GAIN = (2 / (1 + SLOPE**2)) ** 0.5
EPSILON = 1e-5
SQUARINGS = 6

Grid = Float[Array, "batch row column _channel"]


class Dense(eqx.Module):
    """y = x W + b, with an orthogonal matrix times `gain`, and no bias yet."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, key: Key[Array, ""], inputs: int, outputs: int, gain: float) -> None:
        # Cut from a square matrix: as random as a narrow one, and compiled once for all layers.
        size = max(inputs, outputs)
        square = jax.nn.initializers.orthogonal()(key, (size, size))
        self.weight, self.bias = gain * square[:inputs, :outputs], jnp.zeros(outputs)

    def __call__(self, x: Float[Array, "*any inputs"]) -> Float[Array, "*any outputs"]:
        """Applies the layer to the last axis."""
        return x @ self.weight + self.bias


@jax.custom_vjp
def _convolve(x: Grid, weight: Float[Array, "3 3 inputs outputs"]) -> Grid:
    """3×3, zero beyond the border, with a gradient of its own.

    Inside of a loop (a scan over minibatches) XLA's CPU compiler has a fast path for convolutions
    in this layout only (jax issue 12868). Those that it derives for the gradient have others: with
    them the whole of training was nine times slower (`bench lux-speed --map 16`).
    """
    return jax.lax.conv_general_dilated(
        x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _convolve_forward(x: Grid, weight: Array) -> tuple[Grid, tuple[Grid, Array]]:
    return _convolve(x, weight), (x, weight)


def _convolve_backward(kept: tuple[Grid, Array], slope: Grid) -> tuple[Grid, Array]:
    """For the input the same convolution with the kernel turned; for the kernel nine products."""
    x, weight = kept
    _, height, width, inputs = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    flat = slope.reshape(-1, slope.shape[-1])
    products = [
        padded[:, i : i + height, j : j + width].reshape(-1, inputs).T @ flat
        for i in range(3)
        for j in range(3)
    ]
    turned = jnp.swapaxes(weight[::-1, ::-1], 2, 3)
    return _convolve(slope, turned), jnp.stack(products).reshape(weight.shape)


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _unit(x: Float[Array, " n"]) -> Float[Array, " n"]:
    return x / (jnp.linalg.norm(x) + 1e-12)


def _largest_singular_value(matrix: Float[Array, "n outputs"]) -> Float[Array, ""]:
    """By 2^SQUARINGS power iterations at once, without a stored vector to start from.

    Squared again and again, matrixᵀ matrix comes to be the singular vector times itself. As in
    PyTorch, the gradient takes the singular vectors as given.
    """
    fixed = jax.lax.stop_gradient(matrix)
    power = fixed.T @ fixed
    for _ in range(SQUARINGS):
        power = power / (jnp.trace(power) + 1e-30)
        power = power @ power
    right = _unit(power[jnp.argmax(jnp.diagonal(power))])
    return _unit(fixed @ right) @ matrix @ right


class BatchNorm(eqx.Module):
    """(x - mean) / √variance · scale + shift by channel; `mean` and `variance` are statistics.

    A variance of 0 stands for a channel that was not measured yet, and is then taken as 1.
    """

    scale: Float[Array, " channel"]
    shift: Float[Array, " channel"]
    mean: Float[Array, " channel"]
    variance: Float[Array, " channel"]

    def __init__(self, channels: int) -> None:
        self.scale, self.shift = jnp.ones(channels), jnp.zeros(channels)
        self.mean, self.variance = jnp.zeros(channels), jnp.zeros(channels)

    def affine(self) -> tuple[Float[Array, " channel"], Float[Array, " channel"]]:
        """(factor, offset) of the same map; no gradient goes to the statistics."""
        mean, variance = jax.lax.stop_gradient((self.mean, self.variance))
        factor = self.scale / _deviation(variance)
        return factor, self.shift - mean * factor

    def measured(self, x: Grid) -> "BatchNorm":
        """The statistics of `x`; channels that had some already keep their map."""
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        factor, offset = self.affine()
        known = self.variance > 0
        scale = jnp.where(known, factor * _deviation(variance), self.scale)
        shift = jnp.where(known, offset + mean * factor, self.shift)
        new = (scale, shift, mean, variance)
        return eqx.tree_at(lambda n: (n.scale, n.shift, n.mean, n.variance), self, new)


def _deviation(variance: Float[Array, " channel"]) -> Float[Array, " channel"]:
    return jnp.sqrt(jnp.where(variance == 0, 1.0, variance) + EPSILON)


class Conv(eqx.Module):
    """3×3 convolution without bias, over its spectral norm; batch norm; LeakyReLU."""

    weight: Float[Array, "3 3 inputs outputs"]
    norm: BatchNorm | None
    spectral_norm: bool = eqx.field(static=True)

    def __init__(
        self,
        key: Key[Array, ""],
        inputs: int,
        outputs: int,
        gain: float,
        *,
        spectral_norm: bool,
        batch_norm: bool,
    ) -> None:
        init = jax.nn.initializers.orthogonal(gain)
        self.weight = init(key, (3, 3, inputs, outputs))
        self.norm = BatchNorm(outputs) if batch_norm else None
        self.spectral_norm = spectral_norm

    def __call__(self, x: Grid) -> Grid:
        """The layer as one convolution with bias, then LeakyReLU."""
        weight, bias = self.folded()
        return jax.nn.leaky_relu(_convolve(x, weight) + bias, SLOPE)

    def normalised(self) -> Float[Array, "3 3 inputs outputs"]:
        """The weight over its largest singular value, if spectral norm is on."""
        if not self.spectral_norm:
            return self.weight
        return self.weight / _largest_singular_value(self.weight.reshape(-1, self.weight.shape[-1]))

    def folded(self) -> tuple[Float[Array, "3 3 inputs outputs"], Float[Array, " outputs"]]:
        """(weight, bias) of the plain convolution that does the same: the norms cost no pass."""
        weight = self.normalised()
        if self.norm is None:
            return weight, jnp.zeros(weight.shape[-1])
        factor, offset = self.norm.affine()
        return weight * factor, offset

    def measured(self, x: Grid) -> tuple["Conv", Grid]:
        """The layer with the statistics of `x`, and its output then."""
        layer = self
        if self.norm is not None:
            norm = self.norm.measured(_convolve(x, self.normalised()))
            layer = eqx.tree_at(lambda c: c.norm, self, norm)
        return layer, layer(x)


class Residual(eqx.Module):
    """x + w · conv(conv(x)); w weighs channels by what the board's mean says (Hu et al. 2018)."""

    first: Conv
    second: Conv
    squeeze: Dense
    excite: Dense

    def __init__(self, key: Key[Array, ""], channels: int, gain: float, **norms: bool) -> None:
        keys = jax.random.split(key, 4)
        self.first = Conv(keys[0], channels, channels, gain, **norms)
        self.second = Conv(keys[1], channels, channels, gain, **norms)
        self.squeeze = Dense(keys[2], channels, channels // 2, gain)
        self.excite = Dense(keys[3], channels // 2, channels, gain)

    def __call__(self, x: Grid) -> Grid:
        """The block's output, of the same shape."""
        return self._joined(x, self.second(self.first(x)))

    def measured(self, x: Grid) -> tuple["Residual", Grid]:
        """The block with the statistics of `x`, and its output then."""
        first, y = self.first.measured(x)
        second, y = self.second.measured(y)
        block = eqx.tree_at(lambda b: (b.first, b.second), self, (first, second))
        return block, self._joined(x, y)

    def _joined(self, x: Grid, y: Grid) -> Grid:
        squeezed = jax.nn.leaky_relu(self.squeeze(y.mean((1, 2))), SLOPE)
        return x + y * jax.nn.sigmoid(self.excite(squeezed))[:, None, None, :]


class Embedding(eqx.Module):
    """A convolution, then for each number in `residuals` as many residual blocks and one more."""

    layers: tuple[Conv | Residual, ...]
    planes: int = eqx.field(static=True)

    def __init__(
        self,
        key: Key[Array, ""],
        planes: int,
        channels: int,
        residuals: tuple[int, ...],
        gain: float,
        **norms: bool,
    ) -> None:
        keys = iter(jax.random.split(key, 1 + len(residuals) + sum(residuals)))
        layers: list[Conv | Residual] = [Conv(next(keys), planes, channels, gain, **norms)]
        for blocks in residuals:
            layers += [Residual(next(keys), channels, gain, **norms) for _ in range(blocks)]
            layers += [Conv(next(keys), channels, channels, gain, **norms)]
        self.layers = tuple(layers)
        self.planes = planes

    def __call__(self, x: Grid) -> Grid:
        """One vector per cell."""
        for layer in self.layers:
            x = layer(x)
        return x

    def measured(self, x: Grid) -> "Embedding":
        """The embedding with the statistics of `x`, each layer's after those below it."""
        layers = []
        for layer in self.layers:
            new, x = layer.measured(x)
            layers.append(new)
        return eqx.tree_at(lambda e: e.layers, self, tuple(layers))
