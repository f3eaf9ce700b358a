"""Trained policies to be called in a loop of one's own; JAX or NumPy, in and out."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hinterland.api.systems import trained_policy
from hinterland.config import Config
from hinterland.core import Domain, UserError, View, is_entity_domain, is_game, possible_actions
from hinterland.core.types import HostOrDevice
from hinterland.training.networks import check_step, load_policy

if TYPE_CHECKING:
    from hinterland.api.runs import Checkpoint


class Policies:
    """The policies of all agents (or entities' slots) of a domain; nothing in it ever changes.

        state = policies.initial()
        actions, state = policies(observations, state, key=0)

    Observations are [slots, observation], or [copy, slots, observation] of several copies of the
    system; actions have the same leading axes. NumPy arrays are answered by NumPy arrays, JAX's by
    JAX's, also within `jax.jit`, `jax.vmap` and `jax.lax.scan`.

    Of games, observations, masks and actions are what the simulator's session shows and takes: each
    side is a copy.
    """

    domain: Domain
    """Where they were trained."""
    config: Config
    """How."""
    step: int
    """Environment steps per agent in training."""

    def __init__(self, policy: Any, config: Config, domain: Domain, step: int) -> None:
        self.policy = jax.tree.map(jnp.asarray, policy)
        """Of all slots: a `core.Policy`."""
        self.config, self.domain, self.step = config, domain, step

    def __repr__(self) -> str:
        return f"Policies({self.config.domain!r}, {self.domain.agents} agents, step {self.step:,})"

    def initial(self, copies: int | None = None) -> Array:
        """What they remember before a first step; of width 0 where they have no memory.

        Args:
            copies: of the system, side by side; None: a single one, without an axis.
        """
        memory = self.policy.initial(1 if copies is None else copies)
        return memory[0] if copies is None else memory

    def __call__(
        self,
        observation: Any,
        state: HostOrDevice,
        *,
        key: Array | int | None = None,
        greedy: bool = False,
        fresh: HostOrDevice | bool = False,
        mask: Any = None,
        alive: Any = None,
    ) -> tuple[HostOrDevice, HostOrDevice]:
        """(actions [slots], state for the next step); all with an axis [copy] before, or none.

        Args:
            observation: [slots, observation], of every agent, or entity; of games as shown.
            state: of the step before, or `initial`.
            key: of the random choices, another one at each step: JAX's, or a whole number.
            greedy: the likeliest actions; no key is needed.
            fresh: in which copies an episode begins with this step: what is remembered there is
                forgotten before.
            mask: [slots, actions], what each may do now; by default all that an agent ever has. Of
                games as shown, and needed.
            alive: [slots], which hold an entity; needed where they come and go. Empty slots get
                action 0, and forget.

        Raises:
            UserError: a shape is another, or a key or who is alive is missing.
        """
        on_host = all(isinstance(x, np.ndarray) for x in jax.tree.leaves(observation))
        domain, slots, games = self.domain, self.domain.agents, is_game(self.domain)
        if not games:
            shape, size = np.shape(observation), domain.spec.observation
            if shape[-2:] != (slots, size) or len(shape) > 3:
                raise UserError(
                    f"observations are {list(shape)}, expected [{slots}, {size}] or "
                    f"[copies, {slots}, {size}]"
                )
        if alive is None and is_entity_domain(domain):
            raise UserError(f"entities of {domain.name} come and go: give alive= and mask=")
        if games and mask is None:
            raise UserError(f"{domain.name}: give mask= too, as the simulator shows it")
        if key is None and not greedy:
            raise UserError("sampled actions need key=, another one at each step; or greedy=True")
        shape = np.shape(alive) if games else np.shape(observation)[:-1]
        copies, single = (shape[0], False) if len(shape) == 2 else (1, True)

        def with_copies(name: str, value: Any, *expected: int) -> Array:
            given, wanted = np.shape(value), (copies, *expected)
            if given != (wanted[1:] if single else wanted):
                said = list(wanted[1:] if single else wanted)
                raise UserError(f"{name} is {list(given)}, expected {said}")
            return jnp.asarray(value).reshape(wanted)

        def parts(name: str, value: Any) -> Any:
            """Those of a game, which are between its simulator and its network."""
            for path, part in jax.tree_util.tree_leaves_with_path(value):
                if not single and np.shape(part)[:1] != (copies,):
                    raise UserError(
                        f"{name}{jax.tree_util.keystr(path)} is {list(np.shape(part))}, expected "
                        f"[{copies}, ...]: alive is [{copies}, {slots}]"
                    )
            return jax.tree.map(lambda x: jnp.asarray(x)[None] if single else jnp.asarray(x), value)

        living = jnp.ones((copies, slots), bool)
        if alive is not None:
            living = with_copies("alive", alive, slots)
        if games:
            seen, possible = parts("observation", observation), parts("mask", mask)
        else:
            seen = jnp.asarray(observation).reshape(copies, slots, -1)
            shape = (copies, slots, domain.spec.actions)
            possible = jnp.broadcast_to(possible_actions(domain), shape)
            if mask is not None:
                possible = possible & with_copies("mask", mask, *shape[1:])
            possible = possible & living[..., None]
        memory = with_copies("state", state, *self.policy.initial(copies).shape[1:])
        new = jnp.broadcast_to(jnp.asarray(fresh), (copies,))
        found = _act(self.policy, _key_of(key), memory, new, seen, possible, living, greedy)
        if single:
            found = jax.tree.map(lambda x: x[0], found)
        return jax.tree.map(np.asarray, found) if on_host else found


@jax.jit
def _act(policy, key, memory, fresh, observation, mask, alive, greedy):  # type: ignore[no-untyped-def]
    """(actions [copy, slots, ...], memory)."""
    acting = jnp.stack([x.any(-1) for x in jax.tree.leaves(mask)]).any(0)
    view = View(observation, mask, alive, acting & alive, jnp.zeros((len(alive), 0)))
    memory = jnp.where(fresh[:, None, None], 0.0, memory)
    if hasattr(policy, "decide"):  # without values, for which a central critic would see more
        memory, logits = policy.decide(memory, view)
        actions = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
    else:
        memory, chosen = policy.act(key, memory, view, greedy)
        actions = chosen.action
    memory = jnp.where(alive[..., None], memory, 0.0)
    if actions.ndim == alive.ndim:
        actions = jnp.where(alive, actions, 0).astype(jnp.int32)
    return actions, memory


def _key_of(key: Any) -> Array:
    """JAX's key; of none, one that is not used."""
    if key is None or isinstance(key, int | np.integer):
        return jax.random.key(0 if key is None else key)
    return key


def policies_of(checkpoint: "Checkpoint", config: Config, domain: Domain) -> Policies:
    """Those in a checkpoint.

    Raises:
        UserError: it is of another run, or a parameter is not finite.
    """
    arrays, meta = checkpoint
    check_step(meta, config)
    return Policies(load_policy(arrays, config, domain), config, domain, meta["step"])


def load(
    run: str | PathLike[str],
    *,
    step: int | None = None,
    domain: Domain | None = None,
    network: Callable[..., Any] | None = None,
) -> Policies:
    """The policies of a run.

    Args:
        run: its folder.
        step: of the checkpoint; the newest by default.
        domain: the object that it was trained in, if no name makes it again.
        network: the function that made its network, if no name finds it again.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from hinterland.api.start import machine
    from hinterland.record import RunFolder

    folder = RunFolder.read(Path(run))
    with machine(None):
        config, made, policy, at = trained_policy(folder, step, domain, network)
    return Policies(policy, config, made, at)
