"""The plan of a run: which learner lives in which slots of which simulator.

Two kinds. *Apart*: each region has a simulator and a learner of its own (DIALS), and nobody waits
for anybody between two meetings. *Together*: one system shows all slots, of the global simulator or
of all regions side by side, and one learner has all of them, or each slot its own. Slots whose
losses are coupled (by parameters, by a critic or by credit) have one learner.

Regions may be of several kinds. Learners *apart* and predictors are stacked by kind, each with its
kind's sizes: a tuple with one stack for each, also where there is one kind only.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import (
    InfluenceBatch,
    is_entity_domain,
    is_game,
    is_host,
    kinds_of,
    numbers_of,
    stream,
)
from hinterland.learn import Credit, How, Learner, PPOSettings, Separation, first_learner
from hinterland.nets import (
    KindsNetwork,
    PassingNetwork,
    PredictorNetwork,
    TeamNetwork,
    joined,
    made,
    shapes_of,
    team_network,
)
from hinterland.rollout import Regions, System, begin, whole_system
from hinterland.runtime import LocalRuntime, over_block
from hinterland.training.own_networks import maker_of

BLOCK = (16, 32)
"""Least and most copies of one unit of work of `--schedule fused`; no layout changes a result."""


def stacked(function: Any, numbers: range, *common: Any) -> Any:
    """`function(number, *common)` for every number, one at a time, stacked as NumPy arrays."""
    one, block = jax.jit(over_block(function, len(common))), (np.array(numbers, np.int32),)
    return LocalRuntime(devices=1, block=1).map_agents(one, block, common)


def stacked_shapes(function: Any, numbers: range, *common: Any) -> Any:
    """The shapes and types of what `stacked` gives."""
    one = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32), *common)
    count = len(numbers)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), one)


class State(NamedTuple):
    """Everything that a run needs to go on, between two stretches of training."""

    learners: Any
    """Stacked; apart, by kind."""
    predictors: tuple[PredictorNetwork, ...]
    """By kind."""
    places: tuple[Any, ...] = ()
    """Apart, by kind: `rollout.Place`s; empty on hosts, where each stretch begins anew."""
    workers: Any = None
    """Together: `WorkerState`s."""
    pool: Any = None
    """Together: `opponents.Pool`, or nothing."""
    datasets: tuple[InfluenceBatch, ...] | None = None
    """Apart: what each shard is still to train its predictors on."""


class Plan:
    """Everything about a run's learners and systems that its configuration and domain decide.

    Raises:
        UserError: the critic is to see a state that there is not.
    """

    def __init__(self, config: Config, domain: Any) -> None:
        self.config, self.domain = config, domain
        self.of_entities, self.of_games = is_entity_domain(domain), is_game(domain)
        self.local = config.simulation != "global"
        self.maker = maker_of(config, domain)
        """Of networks in place of ours; None: there is none."""
        own = None if self.maker is None else shapes_of(self.maker, domain.spec)
        self.memory: int = (
            config.hidden * (config.network == "gru") if own is None else own.initial(1).shape[-1]
        )
        """Width of what a slot remembers."""
        self.whole = hasattr(own, "act")
        """Whether its own network is a policy of all slots at once."""
        self.sharing = config.slot_networks or (
            "shared" if self.of_entities or self.whole else "own"
        )
        central = config.critic == "central"
        self.system: Any = (
            System(domain, kinds_of(domain)[0].local_simulator, central) if self.local
            else whole_system(domain, central)
        )  # fmt: skip
        self.is_host = is_host(self.system.simulator)
        fused = config.schedule == "fused"
        self.worker_copies = config.copies * (config.actors or 1)
        """That one worker acts for: of the fused schedule a block, or on hosts all."""
        if fused and not self.is_host:
            sizes = range(max(BLOCK[0], min(BLOCK[1], config.copies // 2)), 0, -1)
            self.worker_copies = next(each for each in sizes if config.copies % each == 0)
        self.workers = config.copies // self.worker_copies if fused else config.workers or 1
        self.kinds = kinds_of(domain) if self.local else ()
        """Of the regions that have local simulators."""
        self.regions = [slots for kind in self.kinds for slots in kind.regions]
        """The slots of each of them, kind after kind."""
        self.apart = self.local and self.sharing == "own"
        # Entities that take turns in a slot have too little experience for a learner each.
        alone = self.sharing == "own" and not self.of_entities and not self.system.central
        independent = alone and self.credit() == Credit()
        one_each = self.apart or independent or config.shared_policy
        self.learners = len(self.regions) if self.apart else domain.agents if one_each else 1

    def numbers(self, kind: int) -> range:
        """Of a kind's regions, among all."""
        return numbers_of(self.kinds, kind)

    def credit(self, kind: int = 0) -> Credit:
        """Whose experience is whose, seen by one learner; apart, of this kind."""
        config, groups = self.config, None
        slots = self.kinds[kind].regions.shape[1] if self.local else self.domain.agents
        if config.credit == "team" or config.grouping == "single":
            groups = 1
        elif config.grouping is not None and config.grouping.startswith("mod-"):
            groups = int(config.grouping.removeprefix("mod-"))
        rule, _, count = (config.keep or "all").rpartition("-")
        separation = Separation(
            own=config.credit if isinstance(config.credit, float) else 1.0,
            team_reward=config.team_reward or "mean",
            global_parts=frozenset(config.global_names),
            keep=rule or "all",
            keep_count=int(count) if rule else 0,
            normaliser=config.normaliser or "cells",
        )
        group = None if groups is None else tuple(slot % groups for slot in range(slots))
        return Credit(separation, group, 1 if self.apart else len(self.regions) or 1)

    def how(self, kind: int = 0) -> How:
        """What decides an update; apart, of a learner of this kind."""
        config = self.config
        return How(
            ppo_settings(config),
            self.credit(kind) if self.learners == 1 or self.apart else Credit(),
            # Where nothing is older than the learner the two are the same; this one is cheaper.
            config.correction
            or ("vtrace" if config.schedule == "pipeline" and not self.apart else "clip"),
            config.pieces or 1,
            # Agents keep their windows: taking them whole is a quarter faster in small networks.
            by_step=not self.memory and self.of_entities,
        )

    def network(self, learner: Any = 0, kind: int = 0) -> Any:
        """The untrained network of one learner.

        Apart, of a region of this kind, with one role for each of its slots.
        """
        config, spec, slots = self.config, self.domain.spec, self.domain.agents
        if self.apart:
            spec, slots = self.kinds[kind].spec, self.kinds[kind].regions.shape[1]
            roles = tuple(range(slots))
        elif self.learners > 1:
            roles = (0,)
        else:
            named = {"own": tuple(range(slots)), "role": self.system.roles}
            roles = named.get(self.sharing, (0,) * slots)
            roles = tuple(roles[s] for region in self.regions for s in region) or roles
        place = (0,) if config.shared_policy else (learner,) * (self.learners > 1)
        key = stream(config.seed, "initial/network", *place)
        own = None if self.maker is None else partial(made, self.maker, spec=spec)
        if own is not None and self.whole:
            return own(key)
        return team_network(
            key,
            roles,
            spec.observation,
            spec.actions,
            central=self.system.central,
            kind="gru" if self.memory else "feed-forward",
            hidden=config.hidden,
            trunk=config.trunk,
            actor=own,
        )

    def policy(self, learners: Any, as_simulated: bool = False) -> Any:
        """The policy of all slots, out of all learners (stacked; apart, by kind).

        `as_simulated`: with slots in the order of regions, as local simulators show them.
        """
        if not self.apart:
            networks = learners.network
            first = jax.tree.map(lambda x: x[0], networks)
            if self.config.shared_policy:
                actor = jax.tree.map(lambda x: x[0], first.actors)
                return PassingNetwork(actor, self.domain.agents)
            whole = first if self.learners == 1 else joined(networks)
            if as_simulated or not self.local:
                return whole
            return in_slots(whole, np.concatenate(self.regions))
        teams = tuple(joined(one.network) for one in learners)
        tables = [kind.regions.reshape(-1) for kind in self.kinds]
        if len(teams) == 1:
            return in_slots(teams[0], tables[0])
        sizes = tuple((kind.spec.observation, kind.spec.actions) for kind in self.kinds)
        return KindsNetwork(teams, tuple(tuple(x.tolist()) for x in tables), sizes)

    def learner(self, number: Any, observation: Any = None, kind: int = 0) -> Learner:
        """One learner before the first update; statistics are taken of `observation`, if any."""
        net = self.network(number, kind)
        if observation is not None:
            net = net.renewed(jax.tree.map(lambda x: x[None], observation))
        return first_learner(net, ppo_settings(self.config))

    def predictor(self, region: Any, kind: int = 0) -> PredictorNetwork:
        """The untrained influence predictor of one region, of this kind."""
        config, spec = self.config, self.kinds[kind].spec
        return PredictorNetwork(
            stream(config.seed, "initial/predictor", region),
            spec.dset,
            spec.sources,
            spec.classes,
            kind=config.predictor,
            hidden=config.predictor_hidden,
        )

    def place(self, region: Any, kind: int = 0) -> Any:
        """Apart, one region's copies before their first episodes."""
        if self.is_host:
            return jnp.zeros(0, jnp.float32)
        predictors = jax.tree.map(lambda x: x[None], self.predictor(region, kind))
        number = region - self.numbers(kind)[0]
        system = Regions(self.domain, predictors, jnp.reshape(number, 1), kind)
        key = stream(self.config.seed, "initial/copies", region)
        return begin(key, system, self.network(region, kind), self.config.copies)

    def first_state(self, observation: Any = None, stack: Any = stacked) -> State:
        """Untrained learners and predictors, and apart where copies begin; see `learner`."""
        if self.apart:
            parts = (self.learner, self.predictor, self.place)
            return State(*(self.by_kind(part, stack) for part in parts))
        learners = stack(self.learner, range(self.learners), observation)
        return State(learners, self.by_kind(self.predictor, stack))

    def shapes(self) -> State:
        """Shapes and types of `first_state`; nothing is computed, nothing compiled."""
        return self.first_state(stack=stacked_shapes)

    def by_kind(self, function: Any, stack: Any = stacked) -> tuple[Any, ...]:
        """`function(region, kind=...)` of all regions, stacked for each kind."""
        every = range(len(self.kinds))
        return tuple(stack(partial(function, kind=k), self.numbers(k)) for k in every)


def ppo_settings(config: Config) -> PPOSettings:
    """The learner's part of a configuration."""
    names = set(PPOSettings._fields) - {"annealing"}
    shared = {name: getattr(config, name) for name in names}
    return PPOSettings(**shared, annealing=config.total_updates)


def in_slots(team: TeamNetwork, slots: Any) -> TeamNetwork:
    """A team whose members stand in the order of these slots, as one in the slots' own order."""
    return TeamNetwork(team.actors, team.critic, tuple(team.roles[at] for at in np.argsort(slots)))
