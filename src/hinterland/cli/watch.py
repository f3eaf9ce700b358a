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
    from hinterland.api.start import make_runtime

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
    import numpy as np

    from hinterland.api.systems import trained_policy
    from hinterland.core import UserError, is_game
    from hinterland.training import check_players, watch

    config, domain, learned, step = trained_policy(folder)
    if not hasattr(domain, "frame"):
        raise UserError(f"{config.domain} has no pictures: it lacks the methods scene and frame")
    check_players(domain, policy, opponent)
    games = is_game(domain)
    player = learned if policy == "learned" else policy
    place = (seed, "watch")
    episode, own = watch(domain, player, greedy, place, opponent)
    title = _title(config, domain, policy, greedy, step)
    if games:
        title = title if opponent is None else f"{title}; against {opponent}"
        seen = [pictures[0] for pictures in episode.state]
        returns = [picture["return"] for picture in seen]
        frames = [domain.frame(picture, seen[0]) for picture in seen]
        return _replay(title, domain.scene(seen[0]), frames, returns, 0.1), own
    length = max(1, int(np.asarray(episode.alive)[:, 0].any(-1).sum()))
    frames = list(map(domain.frame, _states(episode, length)))
    earned = np.asarray(episode.reward)[:length, 0]
    earned = earned.sum(1) if hasattr(domain, "entity_simulator") else earned.mean(1)
    before = np.concatenate([[0.0], np.cumsum(earned)[:-1]])
    return _replay(title, domain.scene(), frames, before, 0.2), None


def _states(episode: Any, length: int) -> list[Any]:
    """The states before each step, of the first of some episodes side by side."""
    import jax
    import numpy as np

    if isinstance(episode.state, list):  # of sessions
        return [pictures[0] for pictures in episode.state[:length]]
    states = jax.tree.map(np.asarray, episode.state)
    return [jax.tree.map(lambda x, t=t: x[t, 0], states) for t in range(length)]


def _replay(
    title: str, scene: Any, frames: list[Any], returns: Any, seconds: float
) -> dict[str, Any]:
    """The return shown is the one reached before each step."""
    info = [
        {"step": t, "return": round(float(value), 2), "text": ""} for t, value in enumerate(returns)
    ]
    return {"title": title, "seconds_per_frame": seconds, "scene": scene, "frames": frames,
            "info": info}  # fmt: skip


def _title(config: Any, domain: Any, policy: str, greedy: bool, step: int) -> str:
    how = "greedy" if greedy else "sampled"
    return f"{config.domain}, {domain.agents} agents, " + (
        f"{policy}, {how} actions, trained {step:,} steps per agent"
        if policy == "learned"
        else policy
    )


def write_replay(folder: "RunFolder") -> None:
    """Leaves an episode in the run folder for the report; nothing for a domain without pictures."""
    from hinterland.api.systems import get_domain, look_where_it_was
    from hinterland.config import make_config
    from hinterland.report import save_replay

    look_where_it_was(folder)
    domain = get_domain(make_config(folder.config), folder)
    if hasattr(domain, "frame") and domain.agents <= LARGEST_REPLAY_AGENTS:
        replay, _ = record_episode(folder, "learned", False, 0)
        save_replay(replay, folder.path / "replay.json")
