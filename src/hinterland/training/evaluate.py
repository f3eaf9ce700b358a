"""Evaluation: always on the global simulator, sampled and greedy actions named apart.

One definition of every figure, whatever the system: the return of an episode is the sum of its
rewards, of agents the mean over them, of entities, whose number changes, the sum over all; of games
it is what the simulator says of a side. `length` counts the steps in which somebody lived, `alive`
is the mean number of them in those steps. A system's own figures, and their standard deviations
("_std"), stand beside it: means over the episodes in which there was somebody of whom they are.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from hinterland.core import UserError, stream
from hinterland.core.figures import part_of
from hinterland.domains.pool import SharingPool
from hinterland.rollout import SESSIONS, HostSystem, whole_system
from hinterland.rollout.episodes import (
    Episodes,
    Player,
    host_episodes,
    network_player,
    one_of,
    scripted_player,
    traced_episodes,
)
from hinterland.runtime import LocalRuntime
from hinterland.training.experiment import Experiment

BLOCK = 32
"""Episodes of one unit of work; fixed, so that results do not depend on the machine."""
BASELINES = ("random", "heuristic")
"""Hand-written policies that stand beside every run's result, where a domain has them."""
STANDARD_FIGURES = frozenset(
    ("return_mean", "return_std", "return_ci95", "episodes", "policy", "greedy", "opponent")
)
"""What every evaluation gives; a system adds figures of its own."""


def system_of(domain: Any, policy: Any = None) -> Any:
    """The global system, with a central state if the policy's critic wants one."""
    return whole_system(domain, central=getattr(policy, "critic", None) is not None)


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


def _player(system: Any, domain: Any, policy: Any, greedy: Any, name: str | None) -> Player:
    """Of the policy, or of the hand-written one called `name`."""
    if name is None:
        return network_player(policy, greedy)
    return scripted_player(system, domain.scripted[name])


@partial(jax.jit, static_argnames=("domain", "names", "copies", "with_influence", "with_states"))
def _block(key, who, greedy, policy, *, domain, names, copies, with_influence, with_states):  # type: ignore[no-untyped-def]
    """Of the hand-written policy whose number among `names` this is, or of `policy` (None)."""
    system = system_of(domain, policy)
    players = [_player(system, domain, policy, greedy, name) for name in names]
    return traced_episodes(
        key, system, one_of(players, who), copies,
        with_influence=with_influence, with_states=with_states,
    )  # fmt: skip


@partial(jax.jit, static_argnames=("domain", "name"))
def _choose(policy, greedy, keys, t, memory, view, *, domain, name):  # type: ignore[no-untyped-def]
    """(actions [episode x side, ...], memory); a network's of each episode by its own key."""
    player = _player(system_of(domain), domain, policy, greedy, name)
    if name is not None:
        return player.act(jax.random.fold_in(keys[0], t), memory, view, None)
    count = keys.shape[0]
    apart = jax.tree.map(
        lambda x: x.reshape(count, x.shape[0] // count, *x.shape[1:]), (memory, view)
    )

    def one(key, memory, view):  # type: ignore[no-untyped-def]
        return player.act(jax.random.fold_in(key, t), memory, view, None)

    found = jax.vmap(one)(keys, *apart)
    return jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), found)


def network_episodes(
    runtime: LocalRuntime,
    domain: Any,
    policy: Any,
    *,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
    beside: Any = None,
    told: Callable[[int], None] = lambda episodes: None,
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
        beside: a policy of all slots whose compiled program plays a hand-written one too.
        episodes: how many are needed.
        greedy: the likeliest action instead of a sampled one.
        place: (seed, purpose, place) of the random stream; blocks are numbered within.
        told: of episodes that have been played.
        opponent: of games, the name of who plays all sides but one, which goes round.
        with_influence: also (d-set, influence) pairs, of agents.
        with_states: also the states before each step, for pictures.
        record: of games, keep the simulator's own replay.
    """
    name, network = (None, policy)
    if isinstance(policy, str):  # on hosts it has no program to share
        name, network = (policy, None if whole_system(domain).is_host else beside)
    system = system_of(domain, network)
    on_host: bool = system.is_host
    count = SESSIONS if on_host else BLOCK
    own = with_states or (on_host and system.of_entities)
    # Traced, always as many are played side by side, for their number decides their draws; on hosts
    # each episode has its own.
    count = min(count, episodes) if own or on_host else count
    play = partial(
        host_wave, domain=domain, name=name, copies=count, greedy=greedy, opponent=opponent,
        with_influence=with_influence, with_pictures=with_states, record=record,
    )  # fmt: skip
    if not on_host:  # one program serves evaluation and collection, compiled once
        names = (*(x for x in BASELINES if x in domain.scripted), *[None] * (network is not None))
        names = names if name in names else (name,)
        play = partial(
            _block, domain=domain, names=names, copies=count,
            with_influence=None in names and system.has_regions and not with_states,
            with_states=with_states,
        )  # fmt: skip
    for numbers in runtime.in_groups(range(-(-episodes // count))):
        units = [
            (stream(*place, x), *((x,) if on_host else (names.index(name), greedy)), network)
            for x in numbers
        ]
        if on_host and own:  # here, in the domain's own sessions
            for unit in units:
                yield play(*unit, stopping=runtime.raise_if_interrupted)
                told(count)
        else:
            where = runtime.one_by_one if on_host else runtime.map
            yield from where(play, units, lambda _: told(count))


def host_wave(
    key: Any, number: int, policy: Any, *, domain: Any, name: str | None, copies: int,
    greedy: bool, opponent: str | None, **how: Any,
) -> Episodes:  # fmt: skip
    """One episode in each of so many sessions, side by side; `how` as of `host_episodes`."""
    system: HostSystem = system_of(domain, policy)
    simulator = system.simulator
    shares = isinstance(simulator, SharingPool) and simulator.together > 1
    sessions = (simulator.games if shares else simulator.sessions)(copies)
    games = range(int(number) * copies, (int(number) + 1) * copies)
    by_hand = name and domain.scripted[name]
    controllers: list[Any] = [None] * copies
    if system.of_games:
        other = by_hand if opponent is None else domain.scripted[opponent]
        sides = range(system.sides)  # one's own side goes round
        controllers = [
            tuple(by_hand if side == game % len(sides) else other for side in sides)
            for game in games
        ]
    elif isinstance(by_hand, str):  # it plays inside of the simulator
        controllers = [by_hand] * copies
    act, memory = None, None
    if name is None or controllers[0] is None:
        policy = jax.device_put(policy)
        memory = _player(system, domain, policy, greedy, name).memory(copies * system.sides)
        act = partial(_choose, policy, greedy, domain=domain, name=name)
    found = host_episodes(
        jax.random.split(key, copies), sessions, system, act, memory, controllers, **how
    )
    if opponent is not None:
        found = found._replace(figures=_of_sides(found.figures, games, system.sides))
    return found


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


def _summed(block: Episodes) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Of each episode: rewards of each slot, steps in which somebody lived, lives, own figures."""
    reward, alive = np.asarray(block.reward), np.asarray(block.alive)
    figures = {name: np.asarray(x, np.float64) for name, x in block.figures.items()}
    return reward.sum(0), alive.any(2).sum(0), alive.sum((0, 2)), figures


def figures_of_episodes(blocks: list[tuple], episodes: int, domain: Any) -> dict[str, Any]:
    """See the module; of what `_summed` gives.

    Raises:
        UserError: a return or another figure is not finite, or blocks give different ones.
    """
    system = whole_system(domain)
    names = [set(figures) for *_, figures in blocks]
    if odd := set.union(*names) - set.intersection(*names):
        raise UserError(f"{domain.name} gives the figure {sorted(odd)[0]!r} in some episodes only")
    reward, length, alive, own = jax.tree.map(lambda *x: np.concatenate(x)[:episodes], *blocks)
    if system.sides > 1:
        each = own.pop("return")
        if "losses" not in own:  # of the policy against itself
            own.pop("wins", None)
        own = {name: x for name, x in own.items() if not name.rpartition("/")[2].isdigit()}
    else:
        earned = reward.astype(np.float64)
        each = earned.sum(1) if system.of_entities else earned.mean(1)
        if not np.isfinite(earned).all():
            episode, slot = np.argwhere(~np.isfinite(earned))[0]
            who = "slot" if system.of_entities else "agent"
            raise UserError(
                f"evaluation: the return of {who} {slot} in an episode is {earned[episode, slot]}: "
                f"a reward of {domain.name}'s global simulator is not finite in some state that "
                "this policy reaches"
            )
    if system.is_host:  # whose figures were judged as they came: NaN is nobody in that episode
        own = {name: known for name, x in own.items() if len(known := x[~np.isnan(x)])}
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
        steps = max(int(length.sum()), 1)
        found |= {"length": float(length.mean()), "alive": float(alive.sum() / steps)}
        names = np.array(getattr(domain, "names", ()))
        if len(set(names)) > 1:  # of one agent of each name
            mean = reward.mean(0)
            found |= {f"return/{x}": float(mean[names == x].mean()) for x in dict.fromkeys(names)}
    found |= {name: float(x.mean()) for name, x in own.items()}
    return found | {f"{x}_std": float(own[x].std(ddof=int(len(own[x]) > 1))) for x in own}


def evaluate_policy(
    runtime: LocalRuntime, domain: Any, policy: Any, *, episodes: int, greedy: bool, **how: Any
) -> dict[str, Any]:
    """Figures of a policy's episodes (see the module); arguments as of `network_episodes`.

    `policy` is of all slots, or the name of a hand-written one, which has no greedy actions.
    """
    blocks = network_episodes(runtime, domain, policy, episodes=episodes, greedy=greedy, **how)
    found = figures_of_episodes(list(map(_summed, blocks)), episodes, domain)
    found |= {"policy": policy if isinstance(policy, str) else "learned", "greedy": greedy}
    opponent = how.get("opponent")
    return found if opponent is None else found | {"opponent": opponent}


def evaluate_scripted(
    runtime: LocalRuntime, domain: Any, name: str, *, seed: int, **how: Any
) -> dict[str, Any]:
    """Figures of episodes in which everybody follows one hand-written policy; see `check_players`.

    All of one seed draw the same, in a run and by command.
    """
    place = (seed, "evaluate/scripted", 0)
    return evaluate_policy(runtime, domain, name, greedy=False, place=place, **how)


def evaluate(experiment: Experiment, policy: Any, updates: int) -> None:
    """Logs sampled and greedy returns on the global simulator.

    Whole games outside of JAX cost as much as a long stretch of training: sampled actions only.
    """
    config, domain = experiment.config, experiment.domain
    kinds = ("sampled",) if whole_system(domain).sides > 1 else ("sampled", "greedy")
    values = {}
    with experiment.phase("evaluate", len(kinds) * config.evaluate_episodes):
        for kind in kinds:
            figures = evaluate_policy(
                experiment.runtime, domain, policy, episodes=config.evaluate_episodes,
                greedy=kind == "greedy", place=(config.seed, f"evaluate/{kind}", updates),
                told=experiment.progress.advance,
            )  # fmt: skip
            shown = {
                name for name in figures.keys() - STANDARD_FIGURES
                if not name.endswith("_std") and part_of(name, figures) is None
            }  # fmt: skip
            shown |= {"return_std", "return_ci95", "episodes"}
            values[f"eval/{kind}/return"] = figures["return_mean"]
            values |= {f"eval/{kind}/{x}": figures[x] for x in shown}
    experiment.log(updates, "evaluate", values)


def watch(
    domain: Any, policy: Any, greedy: bool, place: tuple[Any, ...], opponent: str | None = None
) -> tuple[Episodes, Any]:
    """(one episode with what pictures are drawn from, of games the simulator's own replay)."""
    games = whole_system(domain).sides > 1
    (episode,) = network_episodes(
        LocalRuntime(), domain, policy, episodes=1, greedy=greedy, place=place, opponent=opponent,
        with_states=True, record=games,
    )  # fmt: skip
    return episode, domain.entity_simulator.sessions(1)[0].call("replay") if games else None
