"""Regions of one kind or of several: who lives in which, and what each kind has of its own.

A `Domain` without `kinds` has one, of which all its regions are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key, Real

from hinterland.core.errors import UserError
from hinterland.core.protocols import global_simulator_of
from hinterland.core.spec import AgentSpec


@dataclass(frozen=True, eq=False)
class Kind:
    """Regions that are alike: one local simulator and one set of sizes for all of them.

    Attributes:
        local_simulator: of one region; a `LocalSimulator`, or a `HostLocalSimulator`.
        spec: sizes of its agents and regions. The horizon is the domain's.
        regions: [regions, k], the slots of each of its regions; k may differ by kind.
        parameters: what tells the regions apart, a pytree stacked on them; then a local simulator
            is begun by `reset(key, parameters of the region)`, and keeps in its state what it needs
            of them. `np.arange(regions)` tells it the region's bare number.

    Raises:
        UserError: `regions` is not a table of whole numbers.
    """

    local_simulator: Any
    spec: AgentSpec
    regions: Any
    parameters: Any = None

    def __post_init__(self) -> None:
        cure = "give [regions, k], one row for each region: the numbers of its agents"
        try:
            regions = np.asarray(self.regions)
        except ValueError as error:
            raise UserError(f"Kind: regions have rows of different lengths: {cure}") from error
        if regions.ndim != 2 or not regions.size or regions.dtype.kind not in "iu":
            raise UserError(
                f"Kind: regions are {regions.dtype}{list(regions.shape)}, not whole numbers: {cure}"
            )
        object.__setattr__(self, "regions", regions)

    def told(self, region: Any) -> tuple[Any, ...]:
        """What `reset` is given of a region beside its key: its parameters, where there are any.

        `region` is its number among those of the kind; or several.
        """
        if self.parameters is None:
            return ()
        return (jax.tree.map(lambda x: jnp.asarray(x)[region], self.parameters),)

    def told_outside(self, region: int, number: int) -> Any:
        """As `told`, of a `HostLocalSimulator`: NumPy's parameters, or else the region's number.

        `region` is the one among those of the kind, `number` the one among all regions.
        """
        if self.parameters is None:
            return number
        return jax.tree.map(lambda x: np.asarray(x)[region], self.parameters)

    def reset(self, key: Key[Array, ""], region: Any = 0) -> Any:
        """A first state of one of its regions."""
        return self.local_simulator.reset(key, *self.told(region))


def has_kinds(domain: Any) -> bool:
    """Whether a domain declares `kinds`, and its simulator gives tuples by kind."""
    return getattr(domain, "kinds", None) is not None


def kinds_of(domain: Any) -> tuple[Kind, ...]:
    """The kinds of a domain's regions: those declared, or the one that all are of.

    That one is made of `local_simulator` (None, where there is none), `spec` and `regions` (one
    for each agent, where there is none). Regions are numbered kind after kind.
    """
    if has_kinds(domain):
        return tuple(domain.kinds)
    if (regions := getattr(domain, "regions", None)) is None:
        regions = np.arange(domain.agents)[:, None]
    return (Kind(getattr(domain, "local_simulator", None), domain.spec, regions),)


def simulators_of(domain: Any) -> list[Any]:
    """The global simulator, and each kind's local one (None, where there is none)."""
    kinds = kinds_of(domain)
    return [global_simulator_of(domain), *(kind.local_simulator for kind in kinds)]


def numbers_of(kinds: Sequence[Kind], kind: int) -> range:
    """The numbers, among all regions, of those of one kind."""
    first = sum(len(one.regions) for one in kinds[:kind])
    return range(first, first + len(kinds[kind].regions))


def by_kind(domain: Any, found: Any) -> tuple[Any, ...]:
    """What a global simulator gave of its regions, one entry for each kind."""
    return tuple(found) if has_kinds(domain) else (found,)


def for_each_kind(policy: Any, kinds: Sequence[Kind]) -> tuple[Any, ...]:
    """The hand-written policy of each kind, out of an entry of `Domain.scripted`."""
    several = isinstance(policy, tuple | list) and not callable(policy)
    return tuple(policy) if several else (policy,) * len(kinds)


def largest(specs: Sequence[AgentSpec]) -> AgentSpec:
    """The largest of each size: the `Domain.spec` of so many kinds."""
    names = [field.name for field in fields(AgentSpec)]
    return AgentSpec(**{name: max(getattr(spec, name) for spec in specs) for name in names})


def places_of(kinds: Sequence[Kind]) -> Int[np.ndarray, " slots"]:
    """Where each slot stands among those of all regions, kind after kind."""
    return np.argsort(np.concatenate([kind.regions.reshape(-1) for kind in kinds]))


def observations_of(domain: Any, regions: Any) -> Real[Array, "agents observation"]:
    """What all agents see, padded with zeros to the largest observation.

    Where kinds have different types they are float32, as networks take them.

    Args:
        domain: of agents, with local simulators that JAX traces.
        regions: as its global simulator's `regions` gives them.
    """
    kinds = kinds_of(domain)
    every = zip(kinds, by_kind(domain, regions), strict=True)
    shown = [jax.vmap(kind.local_simulator.observe)(states) for kind, states in every]
    seen = [x.reshape(-1, x.shape[-1]) for x in shown]
    if has_kinds(domain):
        width = domain.spec.observation
        kept = seen[0].dtype if len({x.dtype for x in seen}) == 1 else jnp.float32
        seen = [jnp.pad(x.astype(kept), ((0, 0), (0, width - x.shape[-1]))) for x in seen]
    order = places_of(kinds)
    if (order == np.arange(len(order))).all():
        return jnp.concatenate(seen)
    return jnp.concatenate(seen)[order]


def possible_actions(domain: Any) -> Bool[np.ndarray, "slots actions"]:
    """Which actions each slot has at all: those of its kind that `action_mask`, if any, leaves."""
    found = getattr(domain, "action_mask", None)
    possible = np.ones((domain.agents, domain.spec.actions), bool)
    for kind in domain.kinds if has_kinds(domain) else ():
        possible[kind.regions.reshape(-1), kind.spec.actions :] = False
    return possible if found is None else possible & np.asarray(found, bool)
