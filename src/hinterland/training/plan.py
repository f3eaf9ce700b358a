"""The plan of a run: which learner lives in which slots of which simulator.

Two kinds. *Apart*: each region has a simulator and a learner of its own (DIALS), and nobody waits
for anybody between two meetings. *Together*: one system shows all slots, of the global simulator or
of all regions side by side, and one learner has all of them, or each slot its own. Slots whose
losses are coupled (by parameters, by a critic or by credit) have one learner.

Regions may be of several kinds. Learners *apart* and predictors are stacked by kind, each with its
kind's sizes: a tuple with one stack for each, also where there is one kind only.
"""

from functools import cached_property, partial
from inspect import unwrap
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import (
    Chosen,
    InfluenceBatch,
    UserError,
    is_entity_domain,
    is_game,
    is_host,
    kinds_of,
    numbers_of,
    stream,
)
from hinterland.core.blame import blaming, defined_at
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
    what_of,
)
from hinterland.rollout import Regions, System, begin, whole_system
from hinterland.training.own_networks import is_own, maker_of


def stacked(function: Any, numbers: range, *common: Any) -> Any:
    """`function(number, *common)` for every number, stacked as NumPy arrays.

    One at a time and written into place: all do not lie in memory twice.
    """
    one = jax.jit(function)
    whole: Any = None
    for place, number in enumerate(numbers):
        part = jax.tree.map(np.asarray, one(jnp.int32(number), *common))
        if whole is None:
            whole = jax.tree.map(lambda x: np.empty((len(numbers), *x.shape), x.dtype), part)

        def put(into: np.ndarray, value: np.ndarray, at: int = place) -> None:
            into[at] = value

        jax.tree.map(put, whole, part)
    return whole


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

    Args:
        config: of the run.
        domain: the system.

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
        self.worker_copies = config.copies * (config.actors or 1)
        """That one worker of a schedule with workers acts for."""
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
        separation, config = separation_of(self.config), self.config
        slots = self.kinds[kind].regions.shape[1] if self.local else self.domain.agents
        teams = 1 if self.apart else len(self.regions) or 1
        if config.credit == "team" or config.grouping == "single":
            return Credit(separation, (0,) * slots, teams)
        if (rule := config.grouping) is not None and rule.startswith("mod-"):
            groups = min(int(rule.removeprefix("mod-")), slots)
            return Credit(separation, tuple(slot % groups for slot in range(slots)), teams)
        return Credit(separation, None, teams)

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

    @cached_property
    def roles(self) -> tuple[int, ...]:
        """The role of each slot of a learner's network, region by region; none apart."""
        if self.learners > 1:
            return (0,)
        slots = self.domain.agents
        roles = {"own": tuple(range(slots)), "role": self.system.roles}.get(
            self.sharing, (0,) * slots
        )
        return tuple(roles[s] for region in self.regions for s in region) if self.local else roles

    def network(self, learner: Any = 0, kind: int = 0) -> Any:
        """The untrained network of one learner.

        Apart, of a region of this kind, with one role for each of its slots.
        """
        config, spec, roles = self.config, self.domain.spec, self.roles
        if self.apart:
            spec = self.kinds[kind].spec
            roles = tuple(range(self.kinds[kind].regions.shape[1]))
        place = (learner,) if self.learners > 1 else ()
        if config.shared_policy:
            place = (0,)
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

    def one_step(self) -> Chosen:
        """What the untrained policy of a traced system decides in one copy."""
        key, policy = jax.random.key(0), self.network()
        view = self.system.look(self.system.reset(key[None]))
        return policy.act(key, policy.initial(1), view)[1]

    def policy(self, learners: Any) -> Any:
        """The policy of all slots, out of all learners (stacked; apart, by kind)."""
        if self.apart:
            return self._policy_apart(learners)
        networks = learners.network
        first = jax.tree.map(lambda x: x[0], networks)
        if self.config.shared_policy:
            actor = jax.tree.map(lambda x: x[0], first.actors)
            return PassingNetwork(actor, self.domain.agents)
        whole = first if self.learners == 1 else joined(networks)
        if not self.local:
            return whole
        return in_slots(whole, np.concatenate(self.regions))

    def _policy_apart(self, learners: tuple[Learner, ...]) -> Any:
        teams = [joined(one.network) for one in learners]
        tables = [kind.regions.reshape(-1) for kind in self.kinds]
        if len(teams) == 1:
            return in_slots(teams[0], tables[0])
        sizes = tuple((kind.spec.observation, kind.spec.actions) for kind in self.kinds)
        return KindsNetwork(tuple(teams), tuple(tuple(x.tolist()) for x in tables), sizes)

    def local_policy(self, learners: Learner) -> Any:
        """As `policy`, with slots in the order of regions, as local simulators show them."""
        if self.local:
            return jax.tree.map(lambda x: x[0], learners.network)
        return self.policy(learners)

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
        by_kind = partial(self.by_kind, stack=stack)
        if self.apart:
            return State(*map(by_kind, (self.learner, self.predictor, self.place)))
        learners = stack(self.learner, range(self.learners), observation)
        return State(learners, by_kind(self.predictor))

    def shapes(self) -> State:
        """Shapes and types of `first_state`; nothing is computed, nothing compiled."""
        return self.first_state(stack=stacked_shapes)

    def by_kind(self, function: Any, stack: Any = stacked) -> tuple[Any, ...]:
        """`function(region, kind=...)` of all regions, stacked for each kind."""
        every = range(len(self.kinds))
        return tuple(stack(partial(function, kind=k), self.numbers(k)) for k in every)


def separation_of(config: Config) -> Separation:
    """The configuration's part of it."""
    rule, _, count = (config.keep or "all").rpartition("-")
    return Separation(
        own=config.credit if isinstance(config.credit, float) else 1.0,
        team_reward=config.team_reward or "mean",
        global_parts=frozenset(config.global_names),
        keep=rule or "all",
        keep_count=int(count) if rule else 0,
        normaliser=config.normaliser or "cells",
    )


def ppo_settings(config: Config) -> PPOSettings:
    """The learner's part of a configuration."""
    names = set(PPOSettings._fields) - {"annealing"}
    shared = {name: getattr(config, name) for name in names}
    return PPOSettings(**shared, annealing=config.total_updates)


def in_slots(team: TeamNetwork, slots: Any) -> TeamNetwork:
    """A team whose members stand in the order of these slots, as one in the slots' own order."""
    return TeamNetwork(team.actors, team.critic, tuple(team.roles[at] for at in np.argsort(slots)))


def check_plan(config: Config, domain: Any) -> Plan:
    """Whether a run of this configuration means anything in this domain; its plan.

    Raises:
        UserError: it does not; why, in one sentence.
    """
    name = domain.name
    if config.simulation != "global":
        if is_game(domain):
            raise UserError(
                f"{name} is a game of sides, which has no regions: add --simulation global"
            )
        locals_ = [kind.local_simulator for kind in kinds_of(domain)]
        if None in locals_:
            raise UserError(f"{name} has no local simulators: add --simulation global")
        if config.critic == "central" and not all(hasattr(one, "central") for one in locals_):
            raise UserError(
                "--critic central: a local simulator does not show the whole system's state; use "
                "--critic own, or --simulation global"
            )
        _check_regions(config, domain)
    if config.shared_policy:
        _check_shared_policy(config, domain)
    if config.slot_networks == "role" and not hasattr(domain, "roles"):
        raise UserError(f"--slot-networks role: {name} knows no roles")
    plan = Plan(config, domain)
    if plan.whole:
        _check_whole(plan)
    elif plan.of_games and is_own(config):
        raise UserError(
            f"network {config.network} is of one slot, and what games show is between {name} and "
            "its network: give a core.Policy of all slots"
        )
    if config.windows % (config.actors or 1):
        raise UserError(
            f"--actors {config.actors}: must divide --windows {config.windows}; an update learns "
            "from windows / actors segments"
        )
    units = config.copies * config.windows * plan.system.sides
    units *= config.window if plan.how().by_step else 1
    if units // config.minibatches % (config.pieces or 1):
        what = "steps" if plan.how().by_step else "sequences"
        raise UserError(
            f"--pieces {config.pieces}: must divide a minibatch's {units // config.minibatches} "
            f"{what}"
        )
    _check_processes(config, plan)
    return plan


def _check_regions(config: Config, domain: Any) -> None:
    kinds = kinds_of(domain)
    each = max(kind.regions.shape[1] for kind in kinds)
    for option in ("credit", "grouping", "global_parts") if each == 1 else ():
        if (value := getattr(config, option)) not in (None, "agent", "entity"):
            raise UserError(
                f"--{option.replace('_', '-')} {value}: credit is shared within a region, and "
                f"those of {domain.name} hold one agent each: larger regions, or --simulation "
                "global"
            )
    if len(kinds) > 1 and config.slot_networks not in (None, "own"):
        raise UserError(
            f"--slot-networks {config.slot_networks}: the regions of {domain.name} are of "
            f"{len(kinds)} kinds, with sizes of their own, which share no network: leave it out, "
            "or add --simulation global"
        )


def _check_whole(plan: Plan) -> None:
    config, make = plan.config, plan.maker
    assert make is not None
    said = f"{what_of(make)} is one policy of all slots"
    if config.simulation != "global":
        raise UserError(f"{said}, and not of a region: add --simulation global")
    if config.shared_policy:
        raise UserError(f"{said}: leave out --shared-policy")
    if config.slot_networks in ("own", "role"):
        raise UserError(f"{said}: leave out --slot-networks {config.slot_networks}")
    if config.critic == "central":
        raise UserError(f"{said}, with values of its own: leave out --critic central")
    if config.opponents is not None:
        raise UserError(f"{said}, which cannot play the other side: leave out --opponents")
    if plan.is_host:
        return  # its simulator would have to start
    with blaming(what_of(make), unwrap(make)):
        chosen = jax.eval_shape(plan.one_step)
    for name in ("action", "log_probability", "value"):
        if (found := getattr(chosen, name).shape) != (1, plan.domain.agents):
            raise UserError(
                f"{what_of(make)}: act gives {name} {list(found)} for one copy; expected "
                f"[1, {plan.domain.agents}]{defined_at(make)}"
            )


def _check_shared_policy(config: Config, domain: Any) -> None:
    if is_entity_domain(domain):
        raise UserError("--shared-policy is for systems of agents; see --slot-networks")
    if is_host(domain.global_simulator):
        raise UserError("--shared-policy is not offered on simulators outside of JAX")
    if config.schedule != "fused":
        raise UserError(
            "--shared-policy is for --schedule fused: its recurrent state goes from agent to "
            "agent; see --slot-networks shared"
        )


def _check_processes(config: Config, plan: Plan) -> None:
    each = config.copies_per_process or 1
    option = f"--copies-per-process {each}"
    if each == 1:
        return
    simulator, name = plan.system.simulator, plan.domain.name
    if not plan.is_host:
        raise UserError(f"{option}: {name} is traced by JAX and has no processes")
    if not hasattr(simulator, "shared_sessions"):
        raise UserError(f"{option}: a process holds one simulation of {name}; use 1")
    if (copies := plan.worker_copies) % each:
        raise UserError(
            f"{option}: must divide the copies of a worker (copies x actors = {copies})"
        )
