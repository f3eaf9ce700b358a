"""`hinterland watch`: a moving picture of a trained team."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hinterland.cli.arguments import Parser, path_name, whole
from hinterland.config import SEEDS
from hinterland.core.names import printable

if TYPE_CHECKING:
    from hinterland.record import RunFolder

LARGEST_REPLAY_AGENTS = 400
"""Above this a picture shows nothing and weighs much."""
OWN_FORMATS = (b'{"observations":',)
"""How a replay in a simulator's own format begins, here the Lux AI engine's."""


def run(arguments: Sequence[str]) -> int:
    """Plays one episode and writes the picture; returns the exit status."""
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder, check_output

    parser = Parser(
        prog="hinterland watch",
        description="One episode of the trained team on the global simulator, as a page that "
        "needs no network (replay.html) or, by the name given to --out, a GIF.",
    )
    parser.add_argument("run", type=path_name, metavar="RUN")
    parser.add_argument("--policy", default="learned", help="or random, heuristic, ...")
    parser.add_argument("--greedy", action="store_true", help="likeliest actions")
    parser.add_argument(
        "--opponent", metavar="POLICY", help="a hand-written policy for the other side, if there is"
    )
    parser.add_argument(
        "--replay",
        type=path_name,
        metavar="FILE",
        help="also the game in the simulator's own format",
    )
    parser.add_argument(
        "--seed", type=whole(0, SEEDS), default=0, metavar="K", help="of the episode"
    )
    parser.add_argument(
        "--out", type=path_name, metavar="FILE", help=".html or .gif (default: replay.html in RUN)"
    )
    options = parser.parse_args(arguments)
    out = options.out or options.run / "replay.html"
    if out.suffix not in (".html", ".gif"):
        raise UserError(f"--out {out}: the name must end in .html or .gif")
    if options.greedy and options.policy != "learned":
        raise UserError(f"--greedy is for --policy learned, not {options.policy}: leave it out")
    folder = RunFolder.read(options.run)
    from hinterland.report import PAGE, replay_gif, save_replay, write_replay_page

    check_output(out, b"GIF8" if out.suffix == ".gif" else PAGE.encode())
    if options.replay is not None:
        if _same(options.replay, out):
            raise UserError(f"--replay and --out both name {out}")
        check_output(options.replay, *OWN_FORMATS, option="--replay")
    from hinterland.cli.setup import make_runtime

    make_runtime(None)
    print("playing one episode (compiling first) ...", file=sys.stderr, flush=True)
    replay, own = record_episode(
        folder, options.policy, options.greedy, options.seed, options.opponent
    )
    if options.replay is not None:
        if own is None:
            raise UserError(f"--replay: {folder.config['domain']} has no format of its own")
        print(printable(str(save_replay(own, options.replay))))

    if out.suffix == ".gif":
        replay_gif(replay, out)
    else:
        write_replay_page(replay, out)
    print(printable(str(out)))
    return 0


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def record_episode(
    folder: "RunFolder", policy: str, greedy: bool, seed: int, opponent: str | None = None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """One episode as scene and frames (see `core.Domain.frame`); and in the simulator's format."""
    import jax
    import numpy as np

    from hinterland.cli.setup import trained_networks
    from hinterland.core import UserError, is_entity_domain, is_game, is_host, stream
    from hinterland.rollout import (
        NetworkActor,
        episode_seed,
        network_actor,
        play,
        play_host,
        scripted_actor,
        scripted_memory,
    )
    from hinterland.training import check_players

    config, domain, networks, step = trained_networks(folder)
    if not hasattr(domain, "frame"):
        raise UserError(f"{config.domain} has no pictures: it lacks the methods scene and frame")
    check_players(domain, policy, opponent)
    key, horizon = stream(seed, "watch"), domain.spec.horizon
    if config.schedule is not None:
        frames, reward = _team_episode(seed, domain, policy, greedy, networks)
        return _replay(config, domain, policy, greedy, step, frames, reward), None
    if is_entity_domain(domain):
        if is_game(domain):
            return _game(config, domain, policy, greedy, step, networks, seed, opponent)
        states, reward = _entity_episode(key, domain, policy, greedy, networks)
        frames = list(map(domain.frame, states))
        return _replay(config, domain, policy, greedy, step, frames, reward), None
    if is_host(domain.global_simulator):
        actor: Any = domain.scripted.get(policy) or NetworkActor(networks, greedy, key[None])
        episode, _ = play_host(
            domain.global_simulator.sessions(1),
            domain,
            actor,
            [episode_seed(key)],
            with_pictures=True,
        )
        frames = [domain.frame(pictures[0]) for pictures in episode.state]
        return _replay(config, domain, policy, greedy, step, frames, episode.reward[:, 0]), None
    if policy == "learned":
        actor = network_actor(networks, greedy, config.shared_policy)
        hidden = jax.tree.map(lambda x: x[0], networks) if not config.shared_policy else networks
        memory = hidden.initial(1)
        if not config.shared_policy:
            memory = np.repeat(np.asarray(memory)[:, None], domain.agents, 1)
    else:
        actor = scripted_actor(domain.scripted[policy])
        memory = scripted_memory(domain.scripted[policy], 1, domain.agents)
    episode = jax.jit(lambda: play(key, domain, actor, memory, 1, with_states=True))()
    states = jax.tree.map(np.asarray, episode.state)
    frames = [domain.frame(jax.tree.map(lambda x, t=t: x[t, 0], states)) for t in range(horizon)]
    reward = np.asarray(episode.reward)[:, 0]
    return _replay(config, domain, policy, greedy, step, frames, reward), None


def _game(
    config: Any,
    domain: Any,
    policy: str,
    greedy: bool,
    step: int,
    network: Any,
    seed: int,
    opponent: str | None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A whole game outside of JAX; the ground is another one in each."""
    from hinterland.core import stream
    from hinterland.training import watch_game

    player = network if policy == "learned" else domain.scripted[policy]
    other = None if opponent is None else domain.scripted[opponent]
    pictures, own = watch_game(domain, player, greedy, stream(seed, "watch"), other)
    frames = [domain.frame(picture, pictures[0]) for picture in pictures]
    words = _title(config, domain, policy, greedy, step)
    title = words if opponent is None else f"{words}; against {opponent}"
    info = [{"step": t, "return": round(picture["return"], 2), "text": ""}
            for t, picture in enumerate(pictures)]  # fmt: skip
    scene = domain.scene(pictures[0])
    return {"title": title, "seconds_per_frame": 0.1, "scene": scene, "frames": frames,
            "info": info}, own  # fmt: skip


def _entity_episode(
    key: Any, domain: Any, policy: str, greedy: bool, network: Any
) -> tuple[list[Any], Any]:
    """(states while somebody lives, [time, 1] rewards of all entities together)."""
    import jax
    import numpy as np

    from hinterland.rollout import entity_actor, play_entities

    actor = entity_actor(network, greedy, domain.scripted.get(policy))
    where = (domain.entity_simulator, domain.spec.horizon, actor)
    played = jax.jit(lambda: play_entities(key, *where, 1, with_states=True))()
    episode = jax.tree.map(lambda x: np.asarray(x)[:, 0], played)
    length = int(episode.alive.any(1).sum())
    states = [jax.tree.map(lambda x, t=t: x[t], episode.state) for t in range(length)]
    return states, episode.reward[:length].sum(1, keepdims=True)


def _team_episode(
    seed: int, domain: Any, policy: str, greedy: bool, network: Any
) -> tuple[list[Any], Any]:
    """(frames, [time, 1] rewards) of a team trained with --schedule."""
    import jax
    import numpy as np

    from hinterland.core import UserError, is_entity_domain, is_host
    from hinterland.runtime import LocalRuntime
    from hinterland.training.team_evaluation import team_episodes

    name = None if policy == "learned" else policy
    if name is not None and not is_entity_domain(domain):
        raise UserError(f"--policy {name}: of runs with --schedule only learned can be watched")
    (episode,) = team_episodes(
        LocalRuntime(), domain, network if name is None else None, name, episodes=1,
        greedy=greedy, place=(seed, "watch"), with_states=True,
    )  # fmt: skip
    length = int(episode.alive[:, 0].any(-1).sum())
    simulator = getattr(domain, "entity_simulator", None) or domain.global_simulator
    if is_host(simulator):
        states = [pictures[0] for pictures in episode.state[:length]]
    else:
        states = [jax.tree.map(lambda x, t=t: x[t, 0], episode.state) for t in range(length)]
    earned = np.asarray(episode.reward)[:length, 0]
    earned = earned.sum(1) if is_entity_domain(domain) else earned.mean(1)
    return list(map(domain.frame, states)), earned[:, None]


def _replay(
    config: Any, domain: Any, policy: str, greedy: bool, step: int, frames: list, reward: Any
) -> dict[str, Any]:
    """`reward` is [time, agent]; the return shown is the one reached before each step."""
    import numpy as np

    before = np.concatenate([[0.0], np.cumsum(reward.mean(1))[:-1]])
    info = [
        {"step": t, "return": round(float(value), 2), "text": ""} for t, value in enumerate(before)
    ]
    return {
        "title": _title(config, domain, policy, greedy, step),
        "seconds_per_frame": 0.2,
        "scene": domain.scene(),
        "frames": frames,
        "info": info,
    }


def _title(config: Any, domain: Any, policy: str, greedy: bool, step: int) -> str:
    how = "greedy" if greedy else "sampled"
    return f"{config.domain}, {domain.agents} agents, " + (
        f"{policy}, {how} actions, trained {step:,} steps per agent"
        if policy == "learned"
        else policy
    )


def write_replay(folder: "RunFolder") -> None:
    """Leaves an episode in the run folder for the report; nothing for a domain without pictures."""
    from hinterland.cli.setup import get_domain, look_where_it_was
    from hinterland.config import make_config
    from hinterland.report import save_replay

    look_where_it_was(folder)
    domain = get_domain(make_config(folder.config), folder)
    if hasattr(domain, "frame") and domain.agents <= LARGEST_REPLAY_AGENTS:
        replay, _ = record_episode(folder, "learned", False, 0)
        save_replay(replay, folder.path / "replay.json")
