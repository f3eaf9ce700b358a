"""First networks, optimiser states and simulator copies of a run, from its seed alone."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import Domain, is_host, stream
from hinterland.learn import Learner, PPOSettings, make_optimiser
from hinterland.nets import ActorCritic, PredictorNetwork
from hinterland.rollout import GlobalCopies, begin, begin_joint


def network(config: Config, domain: Domain, agent: Any) -> ActorCritic:
    """The untrained actor-critic of one agent."""
    made = ActorCritic(
        stream(config.seed, "initial/network", agent),
        domain.spec.observation,
        domain.spec.actions,
        kind=config.network,
        hidden=config.hidden,
        trunk=config.trunk,
    )
    mask = getattr(domain, "action_mask", None)
    return made if mask is None else made.limited_to(jnp.asarray(mask)[agent])


def predictor(config: Config, domain: Domain, agent: Any) -> PredictorNetwork:
    """The untrained influence predictor of one agent."""
    spec = domain.spec
    return PredictorNetwork(
        stream(config.seed, "initial/predictor", agent),
        spec.dset,
        spec.sources,
        spec.classes,
        kind=config.predictor,
        hidden=config.predictor_hidden,
    )


def learner(config: Config, domain: Domain, settings: PPOSettings, agent: Any) -> Learner:
    """The network with fresh optimiser state."""
    net = network(config, domain, agent)
    return Learner(net, make_optimiser(settings).init(net), jnp.int32(0))


def stacked(function: Any, agents: int) -> Any:
    """`function(agent)` for every agent, stacked as NumPy arrays.

    One agent at a time and written into place: all agents do not lie in memory twice.
    """
    one = jax.jit(function)
    whole: Any = None
    for agent in range(agents):
        part = jax.tree.map(np.asarray, one(jnp.int32(agent)))
        if whole is None:
            whole = jax.tree.map(lambda x: np.empty((agents, *x.shape), x.dtype), part)

        def put(into: np.ndarray, value: np.ndarray, at: int = agent) -> None:
            into[at] = value

        jax.tree.map(put, whole, part)
    return whole


def stacked_shapes(function: Any, agents: int) -> Any:
    """The shapes and types of what `stacked` gives; nothing is computed, nothing compiled."""
    one = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((agents, *x.shape), x.dtype), one)


def local_copies(config: Config, domain: Domain, stack: Any = stacked) -> Any:
    """Every agent's local simulators at their start, [agent, copy, ...].

    Empty where they live outside of JAX: those begin anew at each stretch of training.
    """
    if is_host(domain.local_simulator):
        return np.zeros((domain.agents, 0), np.float32)

    def one(agent: Any) -> Any:
        return begin(
            stream(config.seed, "initial/copies", agent),
            domain.local_simulator,
            domain.spec,
            network(config, domain, agent),
            predictor(config, domain, agent),
            config.copies,
        )

    return stack(one, domain.agents)


def global_copies(config: Config, domain: Domain, block: int) -> list[GlobalCopies]:
    """Blocks of copies of the global simulator at their start."""
    hidden = np.asarray(network(config, domain, 0).initial(block))
    if not config.shared_policy:
        hidden = np.repeat(hidden[:, None], domain.agents, axis=1)
    phases = (np.arange(config.copies) * 10 // config.copies) * domain.spec.horizon // 10
    make = jax.jit(partial(begin_joint, domain=domain))
    return [
        jax.tree.map(
            np.asarray,
            make(
                stream(config.seed, "initial/copies", first),
                hidden=hidden[: min(block, config.copies - first)],
                phases=phases[first : first + block].astype(np.int32),
            ),
        )
        for first in range(0, config.copies, block)
    ]
