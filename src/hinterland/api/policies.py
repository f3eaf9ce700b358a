"""Trained policies to be called in a loop of one's own; JAX or NumPy, in and out."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hinterland.api.systems import trained_policy
from hinterland.config import Config
from hinterland.core import Domain, UserError, View, is_entity_domain, possible_actions
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
        observation: HostOrDevice,
        state: HostOrDevice,
        *,
        key: Array | int | None = None,
        greedy: bool = False,
        fresh: HostOrDevice | bool = False,
        mask: HostOrDevice | None = None,
        alive: HostOrDevice | None = None,
    ) -> tuple[HostOrDevice, HostOrDevice]:
        """(actions [slots], state for the next step); all with an axis [copy] before, or none.

        Args:
            observation: [slots, observation], of every agent, or entity.
            state: of the step before, or `initial`.
            key: of the random choices, another one at each step: JAX's, or a whole number.
            greedy: the likeliest actions; no key is needed.
            fresh: in which copies an episode begins with this step: what is remembered there is
                forgotten before.
            mask: [slots, actions], what each may do now; by default all that an agent ever has.
            alive: [slots], which hold an entity; needed where they come and go. Empty slots get
                action 0, and forget.

        Raises:
            UserError: a shape is another, or a key or who is alive is missing.
        """
        on_host = isinstance(observation, np.ndarray)
        if getattr(self.domain, "planes", None) is not None:
            raise UserError(
                f"{self.domain.name} shows boards, for which policies cannot be called one by one "
                "yet: use hinterland.evaluate, or 'hinterland export'"
            )
        slots, spec = self.domain.agents, self.domain.spec
        shape = np.shape(observation)
        if shape[-2:] != (slots, spec.observation) or len(shape) > 3:
            raise UserError(
                f"observations are {list(shape)}, expected [{slots}, {spec.observation}] or "
                f"[copies, {slots}, {spec.observation}]"
            )
        if alive is None and is_entity_domain(self.domain):
            raise UserError(f"entities of {self.domain.name} come and go: give alive= and mask=")
        if key is None and not greedy:
            raise UserError("sampled actions need key=, another one at each step; or greedy=True")
        copies, single = (shape[0], False) if len(shape) == 3 else (1, True)

        def with_copies(name: str, value: Any, *expected: int) -> Array:
            given, wanted = np.shape(value), (copies, *expected)
            if given != (wanted[1:] if single else wanted):
                said = list(wanted[1:] if single else wanted)
                raise UserError(f"{name} is {list(given)}, expected {said}")
            return jnp.asarray(value).reshape(wanted)

        living = jnp.ones((copies, slots), bool)
        if alive is not None:
            living = with_copies("alive", alive, slots)
        possible = jnp.broadcast_to(possible_actions(self.domain), (copies, slots, spec.actions))
        if mask is not None:
            possible = possible & with_copies("mask", mask, slots, spec.actions)
        memory = with_copies("state", state, *self.policy.initial(copies).shape[1:])
        new = jnp.broadcast_to(jnp.asarray(fresh), (copies,))
        actions, after = _act(
            self.policy, _key_of(key), memory, new, jnp.asarray(observation).reshape(
                copies, slots, spec.observation
            ), possible, living, greedy,
        )  # fmt: skip
        if single:
            actions, after = actions[0], after[0]
        return (np.asarray(actions), np.asarray(after)) if on_host else (actions, after)


@jax.jit
def _act(policy, key, memory, fresh, observation, mask, alive, greedy):  # type: ignore[no-untyped-def]
    """(actions [copy, slots], memory)."""
    mask = mask & alive[..., None]
    view = View(observation, mask, alive, mask.any(-1), jnp.zeros((len(alive), 0)))
    memory = jnp.where(fresh[:, None, None], 0.0, memory)
    memory, logits = policy.decide(memory, view)
    actions = jnp.where(greedy, logits.argmax(-1), jax.random.categorical(key, logits))
    memory = jnp.where(alive[..., None], memory, 0.0)
    return jnp.where(alive, actions, 0).astype(jnp.int32), memory


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
    run: str | PathLike[str], *, step: int | None = None, domain: Domain | None = None
) -> Policies:
    """The policies of a run.

    Args:
        run: its folder.
        step: of the checkpoint; the newest by default.
        domain: the object that it was trained in, if no name makes it again.

    Raises:
        UserError: there is none, or it is damaged.
    """
    from hinterland.api.start import machine
    from hinterland.record import RunFolder

    folder = RunFolder.read(Path(run))
    with machine(None):
        config, made, policy, at = trained_policy(folder, step, domain)
    return Policies(policy, config, made, at)
