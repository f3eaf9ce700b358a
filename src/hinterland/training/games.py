"""Evaluation of entities outside of JAX: whole games, of the policy with itself or against bots."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from hinterland.core import HostEntityDomain, UserError, stream
from hinterland.rollout import SESSIONS, play_host_entities
from hinterland.runtime import LocalRuntime

Figures = dict[str, float]


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


def play_games(
    runtime: LocalRuntime,
    domain: HostEntityDomain,
    player: Any,
    *,
    episodes: int,
    greedy: bool,
    place: tuple[Any, ...],
    opponent: str | None = None,
    told: Callable[[int], None] | None = None,
) -> list[Figures]:
    """The figures of so many games.

    Args:
        runtime: asked whether to go on.
        domain: the system.
        player: a network, or the name of a controller for all sides.
        episodes: how many games.
        greedy: the likeliest action instead of a sampled one.
        place: (seed, purpose, place) of the random stream; games are numbered within.
        opponent: a controller for all sides but one, which goes round from game to game. The
            figures are then those of the player's side, with "losses" beside "wins".
        told: of so many more games that have been played.
    """
    count = min(SESSIONS, episodes)
    sessions = domain.entity_simulator.sessions(count)
    figures: list[Figures] = []
    for first in range(0, episodes, count):
        games = range(first, first + count)
        keys = jnp.stack([stream(*place, game) for game in games])
        players = [_players(domain, player, opponent, game) for game in games]
        controllers = [who for _, who in players]
        played = play_host_entities(
            sessions, domain, players[0][0], greedy, keys, controllers,
            stopping=runtime.raise_if_interrupted,
        )  # fmt: skip
        if opponent is not None:
            played = [_of_side(one, game % domain.sides, domain.sides)
                      for one, game in zip(played, games, strict=True)]  # fmt: skip
        figures += played
        if told is not None:
            told(count)
    return figures[:episodes]


def _players(
    domain: HostEntityDomain, player: Any, opponent: str | None, game: int
) -> tuple[Any, tuple[str | None, ...]]:
    """(the network, who plays each side)."""
    name = player if isinstance(player, str) else None
    other = name if opponent is None else opponent
    own = game % domain.sides
    controllers = tuple(name if side == own else other for side in range(domain.sides))
    return (None if None not in controllers else player), controllers


def _of_side(figures: Figures, side: int, sides: int) -> Figures:
    """One side's own figures in place of the means; who else won has beaten it."""
    own = {name.removesuffix(f"/{side}"): x for name, x in figures.items()
           if name.endswith(f"/{side}")}  # fmt: skip
    others = [figures[f"wins/{other}"] for other in range(sides) if other != side]
    return {**figures, **own, "losses": max(others)}


def watch_game(
    domain: HostEntityDomain, player: Any, greedy: bool, key: Any, opponent: str | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """(pictures, the simulator's own replay) of one game; arguments as of `play_games`."""
    sessions = domain.entity_simulator.sessions(1)
    network, controllers = _players(domain, player, opponent, 0)
    pictures: list[Any] = []
    play_host_entities(
        sessions, domain, network, greedy, key[None], [controllers], record=True, pictures=pictures
    )
    return pictures, sessions[0].call("replay")


def summed_up(figures: list[Figures], sides: int, **how: Any) -> dict[str, Any]:
    """Mean of every figure of some games and its standard deviation ("_std") over them.

    Args:
        figures: of each game.
        sides: figures of single sides are left out.
        how: added to the result, with "return_mean", "return_ci95" and "episodes".
    """
    of_a_side = tuple(f"/{side}" for side in range(sides))
    names = [name for name in figures[0] if not name.endswith(of_a_side)]
    if "losses" not in figures[0]:
        names.remove("wins")  # of the policy against itself
    values = {name: np.array([one[name] for one in figures]) for name in names}
    if not all(np.isfinite(x).all() for x in values.values()):
        raise UserError("evaluation gave figures that are not finite: check the domain's rewards")
    ddof = int(len(figures) > 1)
    deviation = {name: float(x.std(ddof=ddof)) for name, x in values.items()}
    mean = {name: float(x.mean()) for name, x in values.items()}
    return {
        "return_mean": mean.pop("return"),
        "return_ci95": 1.96 * deviation["return"] / len(figures) ** 0.5,
        "episodes": len(figures),
        **how,
        **mean,
        **{f"{name}_std": x for name, x in deviation.items()},
    }


def evaluate_games(
    runtime: LocalRuntime, domain: HostEntityDomain, player: Any, name: str, **how: Any
) -> dict[str, Any]:
    """`summed_up` figures of `play_games`; the opponent by the name that users know."""
    said = {"policy": name, "greedy": how["greedy"]}
    if (opponent := how.pop("opponent", None)) is not None:
        said["opponent"], how["opponent"] = opponent, domain.scripted[opponent]
    return summed_up(play_games(runtime, domain, player, **how), domain.sides, **said)
