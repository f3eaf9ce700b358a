"""The plan of a run: which learner lives in which slots of which simulator.

Two kinds. *Apart*: each region has a simulator and a learner of its own (DIALS), and nobody waits
for anybody between two meetings. *Together*: one system shows all slots, of the global simulator or
of all regions side by side, and one learner has all of them, or each slot its own. Slots whose
losses are coupled (by parameters, by a critic or by credit) have one learner.
"""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hinterland.config import Config
from hinterland.core import UserError, is_entity_domain, is_game, is_host, regions_of, stream
from hinterland.learn import (
    Credit,
    How,
    Learner,
    PPOSettings,
    Separation,
    first_learner,
)
from hinterland.nets import (
    BoardNetwork,
    EntityGrid,
    PassingNetwork,
    PredictorNetwork,
    TeamNetwork,
    joined,
    team_network,
)
from hinterland.rollout import System, whole_system


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
        self.boards = getattr(domain, "planes", None) is not None
        self.sharing = config.slot_networks or ("shared" if self.of_entities else "own")
        central = config.critic == "central"
        self.system: Any = (
            System(domain, domain.local_simulator, central) if self.local
            else whole_system(domain, central)
        )  # fmt: skip
        self.is_host = is_host(self.system.simulator)
        self.regions = regions_of(domain) if self.local else np.zeros((0, 1), int)
        """The slots of each region that has a local simulator."""
        self.apart = self.local and self.sharing == "own"
        # Entities that take turns in a slot have too little experience for a learner each.
        alone = self.sharing == "own" and not self.of_entities and not self.system.central
        independent = alone and self.credit == Credit()
        one_each = self.apart or independent or config.shared_policy
        self.learners = len(self.regions) if self.apart else domain.agents if one_each else 1

    @property
    def credit(self) -> Credit:
        """Whose experience is whose, seen by one learner."""
        separation, config = separation_of(self.config), self.config
        count, slots = self.regions.shape if self.local else (1, self.domain.agents)
        teams = 1 if self.apart else count
        if config.credit == "team" or config.grouping == "single":
            return Credit(separation, (0,) * slots, teams)
        if (rule := config.grouping) is not None and rule.startswith("mod-"):
            groups = min(int(rule.removeprefix("mod-")), slots)
            return Credit(separation, tuple(slot % groups for slot in range(slots)), teams)
        return Credit(separation, None, teams)

    @property
    def how(self) -> How:
        """What decides an update."""
        config = self.config
        return How(
            ppo_settings(config),
            self.credit if self.learners == 1 or self.apart else Credit(),
            # Where nothing is older than the learner the two are the same; this one is cheaper.
            config.correction
            or ("vtrace" if config.schedule == "pipeline" and not self.apart else "clip"),
            config.pieces or 1,
            # Agents keep their windows: taking them whole is a quarter faster in small networks.
            by_step=config.network == "feed-forward" and self.of_entities,
        )

    @cached_property
    def roles(self) -> tuple[int, ...]:
        """The role of each slot of a learner's network, region by region."""
        if self.learners > 1:
            return tuple(range(self.regions.shape[1])) if self.apart else (0,)
        slots = self.domain.agents
        roles = {"own": tuple(range(slots)), "role": self.system.roles}.get(
            self.sharing, (0,) * slots
        )
        return tuple(roles[slot] for slot in self.regions.reshape(-1)) if self.local else roles

    def network(self, learner: Any = 0) -> Any:
        """The untrained network of one learner: convolutions where observations are boards."""
        config, domain, spec = self.config, self.domain, self.domain.spec
        place = (learner,) if self.learners > 1 else ()
        if config.shared_policy:
            place = (0,)
        key = stream(config.seed, "initial/network", *place)
        if self.boards:
            blocks = tuple(map(int, (config.blocks or "2,2").split(",")))
            grid = EntityGrid(key, domain.planes, channels=config.channels or 32, residuals=blocks)
            return BoardNetwork(grid, domain.unpack, domain.agents)
        return team_network(
            key,
            self.roles,
            spec.observation,
            spec.actions,
            central=self.system.central,
            kind=config.network,
            hidden=config.hidden,
            trunk=config.trunk,
        )

    def policy(self, networks: Any) -> Any:
        """The policy of all slots, out of the learners' networks (stacked on the learner axis)."""
        first = jax.tree.map(lambda x: x[0], networks)
        if self.config.shared_policy:
            actor = jax.tree.map(lambda x: x[0], first.actors)
            return PassingNetwork(actor, self.domain.agents)
        whole = first if self.learners == 1 else joined(networks)
        if not self.local:
            return whole
        places = np.argsort(self.regions.reshape(-1))
        return TeamNetwork(whole.actors, whole.critic, tuple(whole.roles[at] for at in places))

    def local_policy(self, networks: Any) -> Any:
        """As `policy`, with slots in the order of regions, as local simulators show them."""
        return jax.tree.map(lambda x: x[0], networks) if self.local else self.policy(networks)

    def learner(self, number: Any, observation: Any = None) -> Learner:
        """One learner before the first update; boards' statistics are taken of `observation`."""
        net = self.network(number)
        if observation is not None:
            net = net.measured(observation)
        return first_learner(net, ppo_settings(self.config))

    def predictor(self, region: Any) -> PredictorNetwork:
        """The untrained influence predictor of one region."""
        config, spec = self.config, self.domain.spec
        return PredictorNetwork(
            stream(config.seed, "initial/predictor", region),
            spec.dset,
            spec.sources,
            spec.classes,
            kind=config.predictor,
            hidden=config.predictor_hidden,
        )

    def first_learners(self, observation: Any = None) -> Learner:
        """All learners, stacked."""
        if observation is not None:  # boards have one
            one = jax.jit(self.learner)(0, observation)
            return jax.tree.map(lambda x: np.asarray(x)[None], one)
        return stacked(self.learner, self.learners)

    def first_predictors(self) -> Any:
        """All regions', stacked; () without local simulators."""
        return stacked(self.predictor, len(self.regions)) if self.local else ()

    def shapes(self) -> tuple[Learner, Any]:
        """Shapes and types of the two; nothing is computed, nothing compiled."""
        predictors = stacked_shapes(self.predictor, len(self.regions)) if self.local else ()
        return stacked_shapes(self.learner, self.learners), predictors


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


def stacked(function: Any, count: int) -> Any:
    """`function(number)` for every number, stacked as NumPy arrays.

    One at a time and written into place: all do not lie in memory twice.
    """
    one = jax.jit(function)
    whole: Any = None
    for number in range(count):
        part = jax.tree.map(np.asarray, one(jnp.int32(number)))
        if whole is None:
            whole = jax.tree.map(lambda x: np.empty((count, *x.shape), x.dtype), part)

        def put(into: np.ndarray, value: np.ndarray, at: int = number) -> None:
            into[at] = value

        jax.tree.map(put, whole, part)
    return whole


def stacked_shapes(function: Any, count: int) -> Any:
    """The shapes and types of what `stacked` gives."""
    one = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.int32))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), one)


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
        if getattr(domain, "local_simulator", None) is None:
            raise UserError(f"{name} has no local simulators: add --simulation global")
        if config.critic == "central" and not hasattr(domain.local_simulator, "central"):
            raise UserError(
                "--critic central: a local simulator does not show the whole system's state; use "
                "--critic own, or --simulation global"
            )
        _check_regions(config, domain)
    if config.shared_policy:
        _check_shared_policy(config, domain)
    boards = getattr(domain, "planes", None) is not None
    if boards and config.network != "feed-forward":
        raise UserError(f"{name}: boards are for networks without memory: --network feed-forward")
    if not boards and (config.channels or config.blocks):
        raise UserError(f"--channels and --blocks are for boards, which {name} has not")
    if config.slot_networks == "role" and not hasattr(domain, "roles"):
        raise UserError(f"--slot-networks role: {name} knows no roles")
    plan = Plan(config, domain)
    if config.windows % (config.actors or 1):
        raise UserError(
            f"--actors {config.actors}: must divide --windows {config.windows}; an update learns "
            "from windows / actors segments"
        )
    units = config.copies * config.windows * plan.system.sides
    units *= config.window if plan.how.by_step else 1
    if units // config.minibatches % (config.pieces or 1):
        what = "steps" if plan.how.by_step else "sequences"
        raise UserError(
            f"--pieces {config.pieces}: must divide a minibatch's {units // config.minibatches} "
            f"{what}"
        )
    _check_processes(config, plan)
    return plan


def _check_regions(config: Config, domain: Any) -> None:
    each = regions_of(domain).shape[1]
    for option in ("credit", "grouping", "global_parts") if each == 1 else ():
        if (value := getattr(config, option)) not in (None, "agent", "entity"):
            raise UserError(
                f"--{option.replace('_', '-')} {value}: credit is shared within a region, and "
                f"those of {domain.name} hold one agent each: larger regions, or --simulation "
                "global"
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
    copies = config.copies * (config.actors or 1)
    if copies % each:
        raise UserError(
            f"{option}: must divide the copies of a worker (copies x actors = {copies})"
        )
