"""The pipeline beside other libraries: the same game, network and discount, one library a run.

    python benchmarks/peers.py hinterland-pipeline --seconds 120 --seed 0 --out pipeline-0.json
    python benchmarks/peers.py table *.json --reward -60

Three agents share one network and must cover three landmarks (simple_spread of the Multi Particle
Environments, episodes of 25 steps). The copies of the game write down when each of their episodes
began, ended, and what it paid, so that steps and returns are counted alike whatever a library
counts: all agents together make one step, a return is the sum over agents, of sampled actions. The
clock starts with the first step of an episode in training; start-up and compilation are before it.
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

AGENTS, LENGTH = 3, 25
WORKERS, COPIES = 2, 8
"""Workers of each library, and copies of the game of all workers together."""
HIDDEN = 64
"""Width of both hidden layers."""
DISCOUNT, TRACE = 0.95, 0.95
BLOCK = 200
"""Episodes whose mean return is one point of a curve."""
RLLIB_LAG = "diff_num_grad_updates_vs_sampler_policy"
LEDGER = "PEERS_LEDGER"
"""Environment variable: the folder in which copies write down their episodes."""


class Ledger:
    """A parallel environment that writes down its episodes: began, ended (s), team's return."""

    def __init__(self, env: Any) -> None:
        self._env, self._began, self._paid = env, 0.0, 0.0
        place = Path(os.environ[LEDGER]) / f"{os.getpid()}-{id(self)}.txt"
        self._file = place.open("w", buffering=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, seed: int | None = None, options: dict | None = None) -> Any:
        """The first observations of an episode."""
        self._began, self._paid = 0.0, 0.0
        return self._env.reset(seed=seed, options=options)

    def step(self, actions: dict[str, int]) -> Any:
        """One step of all agents."""
        self._began = self._began or time.monotonic()
        found = self._env.step(actions)
        self._paid += sum(found[1].values())
        if not self._env.agents:
            self._file.write(f"{self._began} {time.monotonic()} {self._paid}\n")
        return found


def make_game() -> Ledger:
    """One copy of the game."""
    from mpe2 import simple_spread_v3

    return Ledger(simple_spread_v3.parallel_env(N=AGENTS, max_cycles=LENGTH))


def hinterland(schedule: str, seconds: float, seed: int) -> dict[str, Any]:
    """Hinterland, `--schedule pipeline` or `lockstep`; compiles in two updates beforehand."""
    from hinterland.api.start import make_runtime
    from hinterland.config import make_config
    from hinterland.domains.adapters.parallel import from_parallel
    from hinterland.training import Experiment, Lines, pipeline

    # The preset of `combat`, for episodes of this length.
    # Lockstep's copies act in one batch: its workers would only take turns.
    workers = WORKERS if schedule == "pipeline" else 1
    own = {"trace": TRACE, "window": LENGTH, "windows": 4 * workers, "epochs": 4, "minibatches": 4,
           "learning_rate": 1e-3, "entropy_weight": 0.01, "lag": int(schedule == "pipeline"),
           "anneal_rate": False, "anneal_entropy": False}  # fmt: skip
    settings = {"workers": workers, "copies": COPIES // workers, "network": "feed-forward",
                "copies_per_process": COPIES // WORKERS, "hidden": HIDDEN, "trunk": HIDDEN,
                "discount": DISCOUNT, **own}  # fmt: skip
    config = make_config(
        {"domain": "pettingzoo", "agents": AGENTS, "schedule": schedule, "seed": seed, **settings}
    )
    told = Lines()

    class Until(Experiment):
        """Stretches of learning, without evaluation, while there is time."""

        deadline, stretch, updates = 0.0, 2, 0

        def in_stretches(self, state: Any, updates: int, meet: Any, learn: Any) -> Any:
            while not updates or time.monotonic() < self.deadline:
                state = learn(state, updates, updates + self.stretch)
                self.updates = updates = updates + self.stretch
            return state

    runtime, domain = make_runtime(None), from_parallel("peers:make_game", horizon=LENGTH)
    warm = Until(config, domain, runtime)
    pipeline.train(warm, pipeline.start(warm), 0)
    run = Until(config, domain, runtime, progress=told)
    begins = time.monotonic()
    run.deadline, run.stretch = begins + seconds + 2, 10
    pipeline.train(run, pipeline.start(run), 0)
    lines = told.lines
    lags = sorted({name for line in lines for name in line if name.startswith("pipeline/lag/")})
    lag = {name[13:]: statistics.fmean(line.get(name, 0.0) for line in lines) for name in lags}
    lag["max"] = max(line["pipeline/lag/max"] for line in lines)
    domain.entity_simulator.close()
    return {
        "begins": begins,
        "settings": settings,
        "own_count_per_s": run.updates * config.steps_per_update / (time.monotonic() - begins),
        "lag": lag,
        "lag_of": "updates between the learner and a segment's oldest step, shares of segments",
        "versions": {name: version(name) for name in ("jax", "pettingzoo", "mpe2")},
    }


def rllib_appo(seconds: float, seed: int) -> dict[str, Any]:
    """RLlib's asynchronous PPO, new API stack; its own defaults where nothing is named."""
    import ray
    from ray.rllib.algorithms.appo import APPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
    from ray.tune.registry import register_env

    register_env("peers", lambda _: ParallelPettingZooEnv(make_game()))
    model = DefaultModelConfig(fcnet_hiddens=[HIDDEN, HIDDEN], vf_share_layers=True)
    copies = COPIES // WORKERS
    config = (
        APPOConfig()
        .environment("peers")
        .env_runners(num_env_runners=WORKERS, num_envs_per_env_runner=copies)
        .training(gamma=DISCOUNT)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda *_, **__: "shared")
        .rl_module(model_config=model)
        .debugging(seed=seed, log_level="ERROR")
        .reporting(min_time_s_per_iteration=1)
    )
    # More than there are: each process asks for one of its own, on a machine with few.
    ray.init("local", num_cpus=WORKERS + 4, include_dashboard=False, log_to_driver=False)
    algorithm = config.build_algo()
    begins, lags, result = time.monotonic(), [], {}
    while time.monotonic() < begins + seconds + 10:
        result = algorithm.train()
        learned = result.get("learners", {}).get("shared", {})  # none yet, or none this second
        lags.append(float(learned.get(RLLIB_LAG, math.nan)))
    counted = result["env_runners"]["num_env_steps_sampled_lifetime"]
    taken = time.monotonic() - begins
    algorithm.stop()
    ray.shutdown()
    known = [x for x in lags if math.isfinite(x)]
    named = ("lr", "lambda_", "clip_param", "entropy_coeff", "vf_loss_coeff", "grad_clip",
             "train_batch_size_per_learner", "rollout_fragment_length", "num_learners",
             "circular_buffer_num_batches", "circular_buffer_iterations_per_batch",
             "num_env_runners", "num_envs_per_env_runner", "gamma")  # fmt: skip
    return {
        "begins": begins,
        "settings": {name: getattr(config, name) for name in named},
        "own_count_per_s": counted / taken,
        "lag": {"mean": statistics.fmean(known), "max": max(known)} if known else {},
        "lag_of": "gradient steps between the learner and a batch, means of about a second each",
        "versions": {name: version(name) for name in ("ray", "torch", "mpe2")},
    }


def make_sample_factory_game(*_: Any, **__: Any) -> Any:
    """The game as Sample Factory wants it: lists over agents, begun anew at an episode's end."""
    import gymnasium

    class Game(gymnasium.Env):
        """One copy."""

        is_multiagent, num_agents = True, AGENTS

        def __init__(self) -> None:
            self._env = make_game()
            self._names = self._env.possible_agents
            self.observation_space = self._env.observation_space(self._names[0])
            self.action_space = self._env.action_space(self._names[0])

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[list, list]:
            observations, _ = self._env.reset(seed=seed)
            return self._lists(observations), [{} for _ in self._names]

        def step(self, actions: Any) -> tuple[list, list, list, list, list]:
            chosen = {name: int(x) for name, x in zip(self._names, actions, strict=True)}
            observations, *others, _ = self._env.step(chosen)
            seen = self._lists(observations) if self._env.agents else self.reset()[0]
            return seen, *map(self._lists, others), [{} for _ in self._names]

        def close(self) -> None:
            self._env.close()

        def _lists(self, found: dict[str, Any]) -> list:
            return [found[name] for name in self._names]

    return Game()


def sample_factory(seconds: float, seed: int) -> dict[str, Any]:
    """Sample Factory's asynchronous PPO.

    With the settings that it ships for MuJoCo (its only ones for such networks and observations),
    but asynchronous, with a constant learning rate, and without that set's KL penalty.
    """
    from sample_factory.algo.runners.runner import AlgoObserver
    from sample_factory.algo.utils.misc import TRAIN_STATS
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.envs.env_utils import register_env
    from sample_factory.train import make_runner

    settings = {
        "async_rl": True, "num_workers": WORKERS, "num_envs_per_worker": COPIES // WORKERS,
        "gamma": DISCOUNT, "gae_lambda": TRACE, "use_rnn": False, "nonlinearity": "tanh",
        "batch_size": 1024, "num_batches_per_epoch": 4, "num_epochs": 2, "rollout": 64,
        "learning_rate": 0.00295, "ppo_clip_ratio": 0.2, "value_loss_coeff": 1.3,
        "exploration_loss_coeff": 0.003, "max_grad_norm": 3.5, "value_bootstrap": True,
        "policy_initialization": "torch_default",
    }  # fmt: skip

    class Clock(AlgoObserver):
        """Ends training by the clock; nothing in release 2.1.1 counts its `train_for_seconds`."""

        ends = math.inf

        def on_training_step(self, runner: Any, training_iteration_since_resume: int) -> None:
            if self.ends == math.inf:
                self.ends = time.monotonic() + seconds + 2
            elif time.monotonic() > self.ends:
                runner.cfg.train_for_env_steps = 0

    register_env("peers", make_sample_factory_game)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        arguments += ["--env=peers", "--experiment=peers", f"--train_dir={folder}",
                      f"--seed={seed}", "--device=cpu",
                      "--experiment_summaries_interval=1", "--save_every_sec=100000",
                      "--save_best_after=1000000000000",
                      "--encoder_mlp_layers", str(HIDDEN), str(HIDDEN)]  # fmt: skip
        parser, _ = parse_sf_args(arguments)
        _, runner = make_runner(parse_full_cfg(parser, arguments))
        lags: list[tuple[float, float, float]] = []

        def note(_: Any, message: dict, __: int) -> None:
            found = message[TRAIN_STATS]
            if "version_diff_avg" in found:
                lags.append(tuple(float(found[f"version_diff_{x}"]) for x in ("avg", "min", "max")))

        # Not by its `register_...`, which keeps one function where several are called.
        runner.policy_msg_handlers.setdefault(TRAIN_STATS, []).append(note)
        runner.register_observer(Clock())
        status = runner.init()
        begins = time.monotonic()
        status = status or runner.run()
        if status:
            raise SystemExit(f"Sample Factory ended with status {status}")
        taken = time.monotonic() - begins
        learned = sum(runner.env_steps.values()) / AGENTS / taken
    return {
        "begins": begins,
        "settings": settings,
        "own_count_per_s": learned,
        "lag": {
            "mean": statistics.fmean(x[0] for x in lags),
            "min": min(x[1] for x in lags),
            "max": max(x[2] for x in lags),
        }
        if lags
        else {},
        "lag_of": "gradient steps (minibatches) between the learner and a sample, once a second",
        "versions": {name: version(name) for name in ("sample-factory", "torch", "mpe2")},
    }


LIBRARIES: dict[str, Callable[[float, int], dict[str, Any]]] = {
    "hinterland-pipeline": lambda seconds, seed: hinterland("pipeline", seconds, seed),
    "hinterland-lockstep": lambda seconds, seed: hinterland("lockstep", seconds, seed),
    "rllib-appo": rllib_appo,
    "sample-factory": sample_factory,
}


def measured(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """One run, as it stands in its file."""
    launched = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[LEDGER] = folder
        found = LIBRARIES[name](seconds, seed)
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    begins = found.pop("begins")
    episodes = sorted(
        (ended, began, paid)
        for began, ended, paid in (map(float, line.split()) for line in lines)
        if began >= begins
    )
    start = min(began for _, began, _ in episodes)
    if episodes[-1][0] < start + seconds:
        raise SystemExit(f"{name} trained {episodes[-1][0] - start:.1f} s, not {seconds:g} s")
    within = [(ended - start, paid) for ended, _, paid in episodes if ended <= start + seconds]
    curve = [
        [round(part[-1][0], 2), at + BLOCK, statistics.fmean(paid for _, paid in part)]
        for at in range(0, len(within) - BLOCK + 1, BLOCK)
        for part in [within[at : at + BLOCK]]
    ]
    return {
        "library": name,
        "seed": seed,
        "startup_s": round(start - launched, 1),
        "seconds": seconds,
        "env_steps": LENGTH * len(within),
        "env_steps_per_s": LENGTH * len(within) / seconds,
        "curve": curve,
        "curve_of": f"[seconds, episodes so far, mean return of the last {BLOCK}]",
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **found,
    }


def reached(run: dict[str, Any], reward: float) -> float | None:
    """Seconds after which a block of episodes first returned at least so much, or None."""
    return next((second for second, _, paid in run["curve"] if paid >= reward), None)


def table(runs: list[dict[str, Any]], reward: float) -> str:
    """Markdown: a row for each library, median (lowest … highest) over seeds."""

    def spread(values: list[float], digits: int = 0) -> str:
        low, middle, high = min(values), statistics.median(values), max(values)
        return f"{middle:,.{digits}f} ({low:,.{digits}f} … {high:,.{digits}f})"

    rows = [
        ["library", "seeds", "env steps/s", f"seconds to return {reward:g}",
         "last return", "policy lag: mean", "largest", "start-up, s"],
        ["---"] * 8,
    ]  # fmt: skip
    for name in LIBRARIES:
        if not (of := [run for run in runs if run["library"] == name]):
            continue
        times = [x for run in of if (x := reached(run, reward)) is not None]
        to_return = spread(times) if times else "never"
        if 0 < len(times) < len(of):
            to_return += f", {len(times)} of {len(of)}"
        lags = [run["lag"] for run in of if run["lag"]]
        rows.append([
            name, str(len(of)), spread([run["env_steps_per_s"] for run in of]),
            to_return,
            spread([run["curve"][-1][2] for run in of], 1),
            spread([lag["mean"] for lag in lags], 2) if lags else "not reported",
            f"{max(lag['max'] for lag in lags):.0f}" if lags else "",
            spread([run["startup_s"] for run in of]),
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Measures or prints; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in LIBRARIES:
        one = commands.add_parser(name)
        one.add_argument("--seconds", type=float, default=120, help="of training (default: 120)")
        one.add_argument("--seed", type=int, default=0, help="default: 0")
        one.add_argument("--out", type=Path, required=True, help="the JSON file")
    shown = commands.add_parser("table", help="a Markdown table of such files")
    shown.add_argument("files", type=Path, nargs="+")
    shown.add_argument("--reward", type=float, default=-60, help="to be reached (default: -60)")
    options = parser.parse_args()
    if options.command == "table":
        print(table([json.loads(file.read_text()) for file in options.files], options.reward))
        return 0
    # Processes of the libraries import this file as the module `peers`.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    run = measured(options.command, options.seconds, options.seed)
    options.out.write_text(json.dumps(run, indent=1) + "\n")
    last = run["curve"][-1][2] if run["curve"] else float("nan")
    print(f"{options.command}: {run['env_steps_per_s']:,.0f} env steps/s, last return {last:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
