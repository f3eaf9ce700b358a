"""A dense layer on any number of leading axes."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key


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
