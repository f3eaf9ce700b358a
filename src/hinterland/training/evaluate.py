"""Evaluation: always on the global simulator, sampled and greedy actions named apart.

One definition of every figure, whatever the system: the return of an episode is the sum of its
rewards, of agents the mean over them, of entities, whose number changes, the sum over all; of games
it is what the simulator says of a side. `length` counts the steps in which somebody lived, `alive`
is the mean number of them in those steps. A system's own figures, and their standard deviations
("_std"), stand beside it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from hinterland.core import UserError, stream
from hinterland.domains.pool import SharingPool
from hinterland.rollout import (
    SESSIONS,
    Episodes,
    HostSystem,
    host_episodes,
    network_player,
    scripted_player,
    traced_episodes,
    whole_system,
)
from hinterland.runtime import LocalRuntime
from hinterland.training.experiment import Experiment

BLOCK = 32
"""Episodes of one unit of work; fixed, so that results do not depend on the machine."""
STANDARD_FIGURES = frozenset(
    ("return_mean", "return_std", "return_ci95", "episodes", "policy", "greedy", "opponent")
)
"""What every evaluation gives; a system adds figures of its own."""
Told = Callable[[int], None]
"""Told of so many more episodes that have been played."""
Where = tuple[Any, ...]
"""(seed, purpose, place) of a random stream; blocks of episodes are numbered within."""


def nobody(episodes: int) -> None:
    """Is told, and does nothing."""


def system_of(domain: Any, policy: Any = None) -> Any:
    """The global system, with a central state if the policy's critic wants one."""
    return whole_system(domain, central=getattr(policy, "critic", None) is not None)


def _together(system: HostSystem, episodes: int, with_states: bool) -> int:
    """Episodes that are played side by side; of agents always as many, whose draws they decide."""
    few = with_states or system.of_entities
    return min(SESSIONS, episodes) if few else SESSIONS


def check_players(domain: Any, policy: str, opponent: str | None = None) -> None:
    """Whether a domain has these policies: "learned", or a hand-written one.

    Raises:
        UserError: it has not.
    """
    known = ", ".join(sorted(domain.scripted))
    if policy != "learned" and policy not in domain.scripted:
        raise UserError(f"--policy {policy}: {domain.name} has learned, {known}")
    if opponent is None:
        return
    if getattr(domain, "sides", 1) < 2:
        raise UserError(f"--opponent {opponent}: {domain.name} has no sides")
    if opponent not in domain.scripted:
        raise UserError(f"--opponent {opponent}: {domain.name} has {known}")


@partial(jax.jit, static_argnames=("domain", "name", "copies", "with_influence", "with_states"))
def _block(key, greedy, policy, *, domain, name, copies, with_influence, with_states):  # type: ignore[no-untyped-def]
    """Episodes of the policy, or of the hand-written one called `name`."""
    system = system_of(domain, policy)
    if name is None:
        player = network_player(policy, greedy)
    else:
        player = scripted_player(system, domain.scripted[name])
    return traced_episodes(
        key, system, player, copies, with_influence=with_influence, with_states=with_states
    )._asdict()


@jax.jit
def _choose(policy, greedy, keys, t, memory, view):  # type: ignore[no-untyped-def]
    """Each episode by its own key: (actions [episode x side, ...], memory)."""
    count = keys.shape[0]
    apart = jax.tree.map(
        lambda x: x.reshape(count, x.shape[0] // count, *x.shape[1:]), (memory, view)
    )

    def one(key, memory, view):  # type: ignore[no-untyped-def]
        return network_player(policy, greedy).act(jax.random.fold_in(key, t), memory, view, None)

    found = jax.vmap(one)(keys, *apart)
    return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), found)


@partial(jax.jit, static_argnames=("domain", "name"))
def _choose_by_hand(keys, t, memory, view, *, domain, name):  # type: ignore[no-untyped-def]
    system = system_of(domain)
    key = jax.random.fold_in(keys[0], t)
    return scripted_player(system, domain.scripted[name]).act(key, memory, view, None)


def network_episodes(
    runtime: LocalRuntime,
    domain: Any,
    policy: Any,
    *,
    episodes: int,
    greedy: bool,
    place: Where,
    told: Told = nobody,
    opponent: str | None = None,
    with_influence: bool = False,
    with_states: bool = False,
    record: bool = False,
) -> Iterator[Episodes]:
    """Blocks of whole episodes on the global simulator; the last one may hold some too many.

    Args:
        runtime: where the blocks run.
        domain: the system.
        policy: of all slots; or the name of a hand-written one.
        episodes: how many are needed.
        greedy: the likeliest action instead of a sampled one.
        place: of the random stream.
        told: of episodes that have been played.
        opponent: of games, the name of who plays all sides but one, which goes round.
        with_influence: also (d-set, influence) pairs, of agents.
        with_states: also the states before each step, for pictures.
        record: of games, keep the simulator's own replay.
    """
    system = system_of(domain, policy)
    name = policy if isinstance(policy, str) else None
    if not system.is_host:
        copies = min(BLOCK, episodes) if with_states else BLOCK
        # One program serves evaluation and collection, compiled once.
        pairs = system.has_regions and name is None and not with_states
        function = partial(
            _block, domain=domain, name=name, copies=copies, with_influence=pairs,
            with_states=with_states,
        )  # fmt: skip
        network = None if name is not None else policy
        for blocks in runtime.in_groups(range(-(-episodes // copies))):
            units = [(stream(*place, block), greedy, network) for block in blocks]
            for block in runtime.map(function, units, lambda _: told(copies)):
                yield Episodes(**block)
        return
    count = _together(system, episodes, with_states)
    wave = partial(
        host_wave, domain=domain, name=name, greedy=greedy, opponent=opponent, count=count,
        with_influence=with_influence, with_pictures=with_states, record=record,
    )  # fmt: skip
    network = None if name is not None else policy
    for numbers in runtime.in_groups(range(-(-episodes // count))):
        units = [(stream(*place, number), number, network) for number in numbers]
        if system.of_entities or with_states:  # here, in the domain's own sessions
            for unit in units:
                yield wave(*unit, stopping=runtime.raise_if_interrupted)
                told(count)
        else:
            yield from runtime.one_by_one(wave, units, lambda _: told(count))


def host_wave(
    key: Any,
    number: int,
    policy: Any,
    *,
    domain: Any,
    name: str | None,
    greedy: bool,
    opponent: str | None,
    count: int,
    stopping: Callable[[], None],
    **wanted: bool,
) -> Episodes:
    """One episode in each of so many sessions, side by side."""
    system: HostSystem = system_of(domain, policy)
    simulator = system.simulator
    shares = isinstance(simulator, SharingPool) and simulator.together > 1
    sessions = (simulator.games if shares else simulator.sessions)(count)
    keys = jax.random.split(key, count)
    act: Any = None
    memory: Any = None
    controllers: list[Any] = [None] * count
    if system.of_games:
        first = int(number) * count
        who = name and domain.scripted[name]
        other = who if opponent is None else domain.scripted[opponent]
        controllers = [_sides(system.sides, first + game, who, other) for game in range(count)]
    elif name is not None and isinstance(domain.scripted[name], str):
        controllers = [domain.scripted[name]] * count
    elif name is not None:
        act, memory = partial(_choose_by_hand, domain=domain, name=name), ()
    if name is None:
        policy = jax.device_put(policy)
        act = partial(_choose, policy, greedy)
        memory = policy.initial(count * system.sides)
    found = host_episodes(
        keys, sessions, system, act, memory, controllers,
        with_figures=not wanted["with_influence"], stopping=stopping, **wanted,
    )  # fmt: skip
    if opponent is not None:
        games = range(int(number) * count, (int(number) + 1) * count)
        found = found._replace(figures=_of_sides(found.figures, games, system.sides))
    return found


def _sides(sides: int, game: int, own: Any, other: Any) -> tuple[Any, ...]:
    """Who plays each side of a game: one's own side goes round."""
    return tuple(own if side == game % sides else other for side in range(sides))


def _of_sides(figures: dict[str, np.ndarray], games: range, sides: int) -> dict[str, np.ndarray]:
    """Figures of one's own side in place of the means; who else won has beaten it ("losses")."""
    own = np.array([game % sides for game in games])
    by_side = {name: x for name, x in figures.items() if name.rpartition("/")[2].isdigit()}
    found = dict(figures)
    for name in {name.rpartition("/")[0] for name in by_side}:
        each = np.stack([figures[f"{name}/{side}"] for side in range(sides)])
        found[name] = each[own, np.arange(len(own))]
        if name == "wins":
            others = np.where(np.arange(sides)[:, None] == own, -np.inf, each)
            found["losses"] = others.max(0)
    return found


class _Sums(NamedTuple):
    """Of each episode of a block, [copy]; rewards of each slot, [copy, slots]."""

    reward: np.ndarray
    length: np.ndarray
    alive: np.ndarray
    figures: dict[str, np.ndarray]


def _summed(block: Episodes) -> _Sums:
    reward, alive = np.asarray(block.reward), np.asarray(block.alive)
    figures = {name: np.asarray(x, np.float64) for name, x in block.figures.items()}
    return _Sums(reward.sum(0), alive.any(2).sum(0), alive.sum((0, 2)), figures)


def figures_of_episodes(blocks: list[_Sums], episodes: int, domain: Any) -> dict[str, Any]:
    """See the module.

    Raises:
        UserError: a return or another figure is not finite, or blocks give different ones.
    """
    system = whole_system(domain)
    names = set(blocks[0].figures)
    if odd := next((set(one.figures) ^ names for one in blocks if set(one.figures) != names), None):
        raise UserError(f"{domain.name} gives the figure {sorted(odd)[0]!r} in some episodes only")
    sums: _Sums = jax.tree.map(lambda *x: np.concatenate(x)[:episodes], *blocks)
    own = dict(sums.figures)
    if system.sides > 1:
        each = own.pop("return")
        if "losses" not in own:  # of the policy against itself
            own.pop("wins", None)
        own = {name: x for name, x in own.items() if not name.rpartition("/")[2].isdigit()}
    else:
        earned = sums.reward.astype(np.float64)
        each = earned.sum(1) if system.of_entities else earned.mean(1)
        _check_finite(earned, domain, system)
    for name, x in {"return": each, **own}.items():
        if not np.isfinite(x).all():
            raise UserError(
                f"evaluation gave {name} as {x[~np.isfinite(x)][0]}: check {domain.name}'s rewards "
                "and figures"
            )
    count, ddof = len(each), int(len(each) > 1)
    deviation = float(each.std(ddof=ddof))
    found = {
        "return_mean": float(each.mean()),
        "return_std": deviation,
        "return_ci95": 1.96 * deviation / count**0.5,
        "episodes": count,
    }
    if system.of_entities and system.sides == 1:
        steps = max(int(sums.length.sum()), 1)
        found |= {"length": float(sums.length.mean()), "alive": float(sums.alive.sum() / steps)}
        found |= _by_name(sums.reward, getattr(domain, "names", ()))
    found |= {name: float(x.mean()) for name, x in own.items()}
    return found | {f"{name}_std": float(x.std(ddof=ddof)) for name, x in own.items()}


def _check_finite(earned: np.ndarray, domain: Any, system: Any) -> None:
    if not np.isfinite(earned).all():
        episode, slot = np.argwhere(~np.isfinite(earned))[0]
        who = "slot" if system.of_entities else "agent"
        raise UserError(
            f"evaluation: the return of {who} {slot} in an episode is {earned[episode, slot]}: a "
            f"reward of {domain.name}'s global simulator is not finite in some state that this "
            "policy reaches"
        )


def _by_name(reward: np.ndarray, names: Any) -> dict[str, float]:
    """Mean return of one agent of each name, where there are several names."""
    if len(set(names)) < 2:
        return {}
    each, of = reward.mean(0), np.array(names)
    return {f"return/{name}": float(each[of == name].mean()) for name in dict.fromkeys(names)}


def evaluate_policy(
    runtime: LocalRuntime, domain: Any, policy: Any, *, episodes: int, greedy: bool, **how: Any
) -> dict[str, Any]:
    """Figures of a policy's episodes (see the module); arguments as of `network_episodes`.

    `policy` is of all slots, or the name of a hand-written one, which has no greedy actions.
    """
    blocks = [
        _summed(block)
        for block in network_episodes(
            runtime, domain, policy, episodes=episodes, greedy=greedy, **how
        )
    ]
    name = policy if isinstance(policy, str) else "learned"
    said = {"policy": name, "greedy": greedy}
    if (opponent := how.get("opponent")) is not None:
        said["opponent"] = opponent
    return {**figures_of_episodes(blocks, episodes, domain), **said}


def evaluate_scripted(
    runtime: LocalRuntime,
    domain: Any,
    name: str,
    *,
    episodes: int,
    seed: int,
    place: int = 0,
    opponent: str | None = None,
    told: Told = nobody,
) -> dict[str, Any]:
    """Figures of episodes in which everybody follows one hand-written policy.

    Raises:
        UserError: the domain has no policy of that name.
    """
    check_players(domain, name, opponent)
    where = (seed, "evaluate/scripted", place)
    return evaluate_policy(
        runtime, domain, name, episodes=episodes, greedy=False, place=where, opponent=opponent,
        told=told,
    )  # fmt: skip


def evaluate(experiment: Experiment, policy: Any, updates: int) -> dict[str, float]:
    """Sampled and greedy returns on the global simulator.

    Whole games outside of JAX cost as much as a long stretch of training: sampled actions only.
    """
    config = experiment.config
    values: dict[str, float] = {}
    games = whole_system(experiment.domain).sides > 1
    with experiment.phase("evaluate", (1 if games else 2) * config.evaluate_episodes):
        for greedy in (False,) if games else (False, True):
            purpose = "evaluate/greedy" if greedy else "evaluate/sampled"
            figures = evaluate_policy(
                experiment.runtime,
                experiment.domain,
                policy,
                episodes=config.evaluate_episodes,
                greedy=greedy,
                place=(config.seed, purpose, updates),
                told=experiment.progress.advance,
            )
            name = "eval/greedy" if greedy else "eval/sampled"
            values[f"{name}/return"] = figures["return_mean"]
            values[f"{name}/return_std"] = figures["return_std"]
            values[f"{name}/return_ci95"] = figures["return_ci95"]
            values[f"{name}/episodes"] = figures["episodes"]
            own = {x for x in figures.keys() - STANDARD_FIGURES if not x.endswith("_std")}
            values |= {f"{name}/{x}": figures[x] for x in own}
    experiment.log(updates, "evaluate", values)
    return values


def watch(
    domain: Any, policy: Any, greedy: bool, place: Where, opponent: str | None = None,
    record: bool = False,
) -> tuple[Episodes, Any]:  # fmt: skip
    """(one episode with what pictures are drawn from, the simulator's own replay or None)."""
    (episode,) = network_episodes(
        LocalRuntime(), domain, policy, episodes=1, greedy=greedy, place=place, opponent=opponent,
        with_states=True, record=record,
    )  # fmt: skip
    system = whole_system(domain)
    own = system.simulator.sessions(1)[0].call("replay") if record and system.sides > 1 else None
    return episode, own
