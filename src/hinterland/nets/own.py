"""Networks of one's own: what a user's function, or a domain's, gives in place of ours."""

from collections.abc import Callable
from functools import lru_cache
from inspect import unwrap
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hinterland.core import AgentSpec, UserError
from hinterland.core.blame import blaming, defined_at
from hinterland.core.spec import is_whole

Make = Callable[[Key[Array, ""], AgentSpec], Any]
"""(key, spec) -> a `core.SlotNetwork`, or a `core.Policy` of all slots."""


class OwnNetwork(eqx.Module):
    """A `core.SlotNetwork`, with the methods of `ActorCritic`.

    Attributes:
        parameters: its arrays, by their paths in it.
        make: made it; called again for everything else that it is made of.
        spec: what for.
    """

    parameters: dict[str, Array]
    make: Make = eqx.field(static=True)
    spec: AgentSpec = eqx.field(static=True)

    def initial(self, copies: int) -> Float[Array, "copy hidden"]:
        """Zeroed; of width 0 without memory."""
        return jnp.zeros((copies, _form(self.make, self.spec).memory), jnp.float32)

    def step(
        self, carry: Float[Array, "... hidden"], observation: Array
    ) -> tuple[Float[Array, "... hidden"], Float[Array, "... actions"], Float[Array, "..."]]:
        """(recurrent state, logits, values) after seeing one observation per copy."""
        form = _form(self.make, self.spec)
        leaves = [self.parameters.get(path, leaf) for path, leaf in form.leaves]
        step = jax.tree.unflatten(form.structure, leaves).step
        for _ in range(observation.ndim - 1):
            step = jax.vmap(step)
        with blaming(what_of(self.make)):
            return step(carry, observation.astype(jnp.float32))

    def unroll(
        self,
        carry: Float[Array, "copy hidden"],
        observation: Array,
        reset: Bool[Array, "time copy"],
    ) -> tuple[Float[Array, "time copy actions"], Float[Array, "time copy"]]:
        """(logits, values) along sequences that start from stored recurrent states."""
        if not carry.shape[-1]:
            nothing = jnp.zeros((*observation.shape[:-1], 0), jnp.float32)
            return self.step(nothing, observation)[1:]

        def step(carry: Array, seen: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            observation, reset = seen
            after, logits, value = self.step(jnp.where(reset[:, None], 0.0, carry), observation)
            return after, (logits, value)

        return jax.lax.scan(step, carry, (observation, reset))[1]


class _Form(NamedTuple):
    """What a network is made of beside its parameters."""

    leaves: list[tuple[str, Any]]
    """By path; of parameters their shapes."""
    structure: Any
    memory: int


def made(make: Make, key: Key[Array, ""], spec: AgentSpec) -> Any:
    """An `OwnNetwork`, or the `core.Policy` that the function gives.

    Raises:
        UserError: the function raises, or what it gives is neither, or has no arrays to learn.
    """
    with blaming(what_of(make), unwrap(make)):
        found = make(key, spec)
    leaves = jax.tree_util.tree_leaves_with_path(found)
    if any(leaf is found for _, leaf in leaves):
        raise UserError(
            f"{what_of(make)}: gave {type(found).__name__!r}, in which JAX finds no arrays: make "
            f"its class an equinox.Module (docs/python.md){defined_at(make)}"
        )
    if not hasattr(found, "act"):
        _form(make, spec)  # judges it
        parameters = {jax.tree_util.keystr(path): x for path, x in leaves if eqx.is_array(x)}
        return OwnNetwork(parameters, make, spec)
    for path, leaf in leaves:
        if not eqx.is_array(leaf):
            raise UserError(
                f"{what_of(make)}: its {jax.tree_util.keystr(path).lstrip('.')} is no array: a "
                "policy of all slots keeps such things in fields with eqx.field(static=True)"
                f"{defined_at(make)}"
            )
    return found


@lru_cache(maxsize=16)
def shapes_of(make: Make, spec: AgentSpec) -> Any:
    """`made`, with shapes in place of arrays; arguments and errors as there."""
    return jax.eval_shape(lambda: made(make, jax.random.key(0), spec))


@lru_cache(maxsize=16)
def _form(make: Make, spec: AgentSpec) -> _Form:
    """Judges a network of one slot by shapes alone.

    Raises:
        UserError: it is none; the user's file and line.
    """
    what = what_of(make)
    with blaming(what, unwrap(make)):
        network = eqx.filter_eval_shape(make, jax.random.key(0), spec)
    memory: Any = getattr(network, "memory", None)
    if not (is_whole(memory) and memory >= 0 and callable(getattr(network, "step", None))):
        raise UserError(
            f"{what}: gave {type(network).__name__!r}, which has no whole number 'memory' (0 "
            f"or more) and method 'step' (docs/python.md){defined_at(make)}"
        )
    of = defined_at(type(network).step)
    flat, structure = jax.tree_util.tree_flatten_with_path(network)
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in flat]
    for path, leaf in leaves:
        if isinstance(leaf, jax.ShapeDtypeStruct) and leaf.dtype != jnp.float32:
            raise UserError(
                f"{what}: its {path.lstrip('.')} is {leaf.dtype}; what is learned is float32, and "
                f"constants are NumPy arrays{of}"
            )
    seen = [jax.ShapeDtypeStruct((size,), jnp.float32) for size in (memory, spec.observation)]
    with blaming(f"{what}: step", type(network).step):
        found = eqx.filter_eval_shape(lambda network, *x: network.step(*x), network, *seen)
    parts = found if isinstance(found, tuple) else (found,)
    shapes = [list(jnp.shape(x)) for x in parts]
    expected = [[memory], [spec.actions], []]
    if shapes != expected:
        said = ", ".join(map(str, shapes))
        raise UserError(
            f"{what}: step gives {said}; expected memory {expected[0]}, logits {expected[1]} and "
            f"value []{of}"
        )
    return _Form(leaves, structure, memory)


def what_of(make: Make) -> str:
    """Its name, for messages."""
    return f"network {getattr(make, 'name', getattr(make, '__qualname__', repr(make)))!r}"
