"""One configuration object: the command line, the TOML file and the trainer read the same fields.

Each field carries its help text, unit and bounds. Presets are the defaults of a run; anything
given explicitly wins over the preset.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hinterland.core.errors import UserError
from hinterland.presets import PIPELINE_OPTIONS, POOL_OPTIONS, preset_of


class Config(BaseModel):
    """Everything that decides the numbers of a run, and nothing else (no paths, no machine)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: str = Field(description="name of the domain, or MODULE:OBJECT of your own")
    simulation: Literal["dials", "global", "untrained"] = Field(
        "dials",
        description="where experience is simulated: local simulators with learned influence, the "
        "global simulator, or local simulators with an untrained predictor",
    )
    agents: int = Field(4, gt=0, description="number of learning agents N")
    steps: int = Field(1_000_000, gt=0, description="environment steps per agent, in total")
    refresh: int | Literal["auto"] = Field(
        "auto",
        description="refresh period F: local steps per agent between two trainings of the "
        "influence predictors; auto: --steps divided by --refreshes",
    )
    refreshes: int = Field(20, gt=0, description="refresh periods in a run, if --refresh is auto")
    preset: Literal["fast", "paper"] = Field(
        "fast",
        description="fast: many copies and large minibatches; paper: the paper's hyperparameters",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of every random stream of the run")
    shared_policy: bool = Field(
        False,
        description="global simulation only: all agents share one network and one recurrent "
        "state, as in the paper's public code",
    )

    evaluate_every: int | Literal["auto"] = Field(
        "auto",
        description="steps per agent between evaluations; auto: --steps divided by --evaluations",
    )
    evaluations: int = Field(10, gt=0, description="evaluations in a run, if that is auto")
    evaluate_episodes: int = Field(
        64, gt=1, description="episodes of one evaluation, for sampled and for greedy actions each"
    )
    final_episodes: int = Field(256, gt=1, description="episodes of the last evaluation")

    network: Literal["gru", "feed-forward"] = Field("gru", description="kind of actor-critic")
    hidden: int = Field(256, gt=0, description="width of the first (recurrent) layer")
    trunk: int = Field(128, gt=0, description="width of the second layer")
    copies: int = Field(128, gt=0, description="parallel copies of each local simulator")
    window: int = Field(16, gt=0, description="steps of one recurrent sequence and of one GAE pass")
    windows: int = Field(1, gt=0, description="windows between two policy updates")
    epochs: int = Field(2, gt=0, description="passes over the data of one update")
    minibatches: int = Field(4, gt=0, description="minibatches of one epoch")
    learning_rate: float = Field(2e-3, gt=0, description="Adam step size at the start")
    anneal_rate: bool = Field(True, description="let the learning rate fall linearly to 0")
    clip: float = Field(0.2, gt=0, description="PPO clip range at the start")
    anneal_clip: bool = Field(False, description="let the clip range fall linearly to 0")
    clip_value: bool = Field(False, description="clip the value loss by the same range")
    value_weight: float = Field(0.5, ge=0, description="weight of the value loss")
    entropy_weight: float = Field(0.02, ge=0, description="weight of the entropy bonus")
    anneal_entropy: bool = Field(True, description="let the entropy weight fall linearly to 0")
    gradient_norm: float = Field(0.5, ge=0, description="largest global gradient norm; 0: no limit")
    adam_epsilon: float = Field(1e-5, gt=0, description="epsilon of Adam")
    discount: float = Field(0.9, gt=0, le=1, description="discount factor gamma")
    trace: float = Field(0.9, ge=0, le=1, description="GAE lambda")

    predictor: Literal["gru", "feed-forward"] = Field("gru", description="kind of predictor")
    predictor_hidden: int = Field(64, gt=0, description="width of the predictor's hidden layer")
    predictor_episodes: int = Field(
        100, gt=1, description="global episodes collected for one training of the predictors"
    )
    predictor_epochs: int = Field(15, gt=0, description="passes over the predictor's dataset")
    predictor_batch: int = Field(15, gt=0, description="episodes in one predictor minibatch")
    predictor_rate: float = Field(3e-3, gt=0, description="predictor's Adam step size")

    credit: Literal["agent", "team"] | Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="entity domains: who is paid for a reward: agent (the entity; the default), "
        "team (one trajectory for all), or the weight w of w x own + (1-w) x team reward",
    )
    team_reward: Literal["mean", "sum"] | None = Field(
        None, description="entity domains: the team's reward, over living groups (mean)"
    )
    grouping: str | None = Field(
        None,
        pattern=r"^(entity|single|mod-[1-9]\d*)$",
        description="entity domains: which slots share a trajectory: entity (none; the default), "
        "mod-N (slot number modulo N) or single (all)",
    )
    global_parts: str | None = Field(
        None,
        description="entity domains: parts that all groups have in common, such as reward,critic; "
        "of reward, critic, advantage, probabilities, entropy, dones (none)",
    )
    keep: str | None = Field(
        None,
        pattern=r"^(all|(top|top-abs|top-return|random)-[1-9]\d*)$",
        description="entity domains: what is learned from of each step: all (the default), top-N "
        "by advantage, top-abs-N by its size, top-return-N, or random-N",
    )
    normaliser: Literal["cells", "steps", "fixed"] | None = Field(
        None,
        description="entity domains: the loss is a mean over a minibatch's cells (the default), "
        "over each step's cells and then over steps, or a sum over a fixed number",
    )
    slot_networks: Literal["shared", "own", "role"] | None = Field(
        None,
        description="entity domains: one network for all entities (shared), one per slot (own), "
        "or, with --schedule, one for each role that the domain knows (role)",
    )
    pieces: int | None = Field(
        None,
        gt=0,
        description="entity domains: parts of a minibatch whose gradients are computed one after "
        "another; bounds memory, changes no result beyond rounding (1)",
    )

    channels: int | None = Field(
        None, gt=1, description="boards: channels of the convolutions (32)"
    )
    blocks: str | None = Field(
        None,
        pattern=r"^\d(,\d)*$",
        description="boards: residual blocks before each further convolution, such as 2,2 "
        "(the default)",
    )

    map: int | None = Field(None, gt=0, description="lux: cells on a side of the board (48)")
    factories: str | None = Field(
        None, description="lux: factories of each side, such as 2 or 1-3; by default 2-5 on 48 x 48"
    )
    length: int | None = Field(
        None, gt=0, description="lux: steps of a whole game, which evaluation plays (1000)"
    )
    train_length: int | None = Field(
        None, gt=0, description="lux: steps after which games are truncated in training (256)"
    )
    water: bool | None = Field(None, description="lux: whether factories may water lichen (no)")
    schedule: Literal["pipeline", "lockstep"] | None = Field(
        None,
        description="train one team by actors, workers and a learner, side by side (pipeline) or "
        "in turn (lockstep); unset: the loops of --simulation",
    )
    workers: int | None = Field(
        None,
        gt=0,
        description="--schedule: workers; each holds a snapshot of the policy and acts for its "
        "actors (1)",
    )
    actors: int | None = Field(
        None,
        gt=0,
        description="--schedule: actors of each worker; each has --copies copies; divides "
        "--windows (1)",
    )
    copies_per_process: int | None = Field(
        None,
        gt=0,
        description="--schedule, systems in processes of their own: copies that one process steps, "
        "one after another; divides copies x actors; if it is all of them, the pipeline's worker "
        "steps them itself (1)",
    )
    lag: int | None = Field(
        None,
        ge=0,
        description="--schedule: policy versions that a segment may be older than the learner; "
        "older ones are dropped and counted (1)",
    )
    queue: int | None = Field(
        None,
        gt=0,
        description="--schedule pipeline: segments that may wait for the learner before workers "
        "must (2)",
    )
    correction: Literal["vtrace", "clip"] | None = Field(
        None,
        description="--schedule: what is done about older policies' actions: V-trace, or PPO's "
        "clipping around the policy that acted (vtrace)",
    )
    critic: Literal["own", "central"] | None = Field(
        None,
        description="--schedule: values from each entity's own observations (own), or from the "
        "whole system's state too, in training only (central: MAPPO)",
    )

    opponents: str | None = Field(
        None,
        description="--schedule, two-sided systems: who plays the other side, as NAME=WEIGHT,...; "
        "latest (the team itself), past (its snapshots) and the domain's hand-written policies; "
        "unset: whom the domain takes",
    )
    snapshot_every: int | None = Field(
        None, gt=0, description="--opponents: updates between two snapshots of the team (20)"
    )
    pool: int | None = Field(
        None, gt=0, description="--opponents: snapshots that are kept; the oldest goes (8)"
    )

    local: Literal["native", "sumo"] | None = Field(
        None, description="traffic: local simulators, native (JAX; the default) or sumo"
    )
    grid: str | None = Field(
        None, description="traffic: ROWSxCOLUMNS of lights; a square of --agents by default"
    )
    inflow: float | None = Field(
        None, description="traffic: cars per second at each border edge (a probability; 0.1)"
    )
    net: str | None = Field(
        None, description="traffic: your own SUMO network (.net.xml); its lights are the agents"
    )
    routes: str | None = Field(None, description="traffic: its route file (.rou.xml)")
    env: str | None = Field(
        None, description="pettingzoo: MODULE:FUNCTION that returns the parallel environment"
    )
    horizon: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="pettingzoo: steps after which an episode is truncated, if it has not ended by "
        "itself; by default what the environment says, or 1000",
    )
    seconds: int | None = Field(
        None, gt=0, description="traffic: seconds of an episode in your own network (1200)"
    )

    detectors: int | None = Field(
        None, ge=0, description="combat: how many of a side's units are detectors (0)"
    )
    opponent: str | None = Field(
        None, description="combat: who plays the other side: random, nearest, coordinated (default)"
    )
    scenario: str | None = Field(
        None, description="smax: JaxMARL's name of the battle, such as 2s3z (3m)"
    )
    fallen: Literal["leave", "stay"] | None = Field(
        None,
        description="smax: whether allies that fall leave, unpaid (the default), or stay and share "
        "the team's reward until the end",
    )

    @property
    def domain_options(self) -> dict[str, Any]:
        """What was set of the options that only one domain has."""
        return self._set_of(DOMAIN_OPTIONS)

    @property
    def entity_options(self) -> dict[str, Any]:
        """What was set of the options that only entity domains have."""
        return self._set_of(ENTITY_OPTIONS)

    def _set_of(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: x for name in names if (x := getattr(self, name)) is not None}

    @property
    def global_names(self) -> list[str]:
        """The names in `global_parts`."""
        return [x.strip() for x in (self.global_parts or "").split(",") if x.strip()]

    @property
    def refresh_steps(self) -> int:
        """F in steps per agent."""
        if self.refresh == "auto":
            return max(1, self.steps // self.refreshes)
        return self.refresh

    @property
    def evaluation_steps(self) -> int:
        """Steps per agent between two evaluations (and two checkpoints)."""
        if self.evaluate_every == "auto":
            return max(1, self.steps // self.evaluations)
        return self.evaluate_every

    @property
    def steps_per_update(self) -> int:
        """Environment steps per agent that one policy update consumes."""
        return self.copies * self.window * self.windows

    @property
    def total_updates(self) -> int:
        """Policy updates per agent in the whole run; the last one is not cut short."""
        return -(-self.steps // self.steps_per_update)


DOMAIN_OPTIONS = (
    "local", "grid", "inflow", "net", "routes", "seconds", "map", "factories", "length",
    "train_length", "water", "detectors", "opponent", "scenario", "fallen", "env", "horizon",
)  # fmt: skip
ENTITY_OPTIONS = (
    "credit",
    "team_reward",
    "grouping",
    "global_parts",
    "keep",
    "normaliser",
    "slot_networks",
    "pieces",
    "channels",
    "blocks",
)
GLOBAL_PARTS = ("reward", "critic", "advantage", "probabilities", "entropy", "dones")


_SAID = {
    # Where what the checker says would not help.
    "--credit": "must be agent, team, or a weight from 0 to 1 of the own reward",
    "--grouping": "must be entity, single or mod-N, for example mod-4",
    "--keep": "must be all, top-N, top-abs-N, top-return-N or random-N, for example top-1",
}


def make_config(values: dict[str, Any]) -> Config:
    """A checked configuration: explicit values over the preset over the defaults.

    Raises:
        UserError: an unknown name or a value out of bounds, in one sentence.
    """
    preset = preset_of(values)
    if {**preset, **values}.get("schedule") is None:
        for option in (*PIPELINE_OPTIONS, "opponents"):
            if values.get(option) is not None:
                name = f"--{option.replace('_', '-')}"
                raise UserError(f"{name} is a part of --schedule pipeline or lockstep")
    for option in POOL_OPTIONS:
        if values.get(option) is not None and values.get("opponents") is None:
            raise UserError(f"--{option.replace('_', '-')} is a part of --opponents")
    try:
        config = Config(**{**preset, **values})
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + str(first["loc"][0]).replace("_", "-")
        if first["type"] == "extra_forbidden":
            raise UserError(f"{name} is not a setting; see 'hinterland train --help'") from None
        said = _SAID.get(name, first["msg"].lower())
        raise UserError(f"{name} {first['input']}: {said}") from None
    for field in ("refresh", "evaluate_every"):
        value = getattr(config, field)
        if value != "auto" and value <= 0:
            raise UserError(f"--{field.replace('_', '-')} {value}: must be at least 1 step")
    sequences = config.windows * config.copies
    if sequences % config.minibatches:
        raise UserError(
            f"--minibatches {config.minibatches}: must divide copies x windows = {sequences}"
        )
    for part in config.global_names:
        if part not in GLOBAL_PARTS:
            raise UserError(f"--global-parts {part}: known are {', '.join(GLOBAL_PARTS)}")
    if config.credit == "team" and (config.grouping or config.global_parts):
        raise UserError("--credit team is one trajectory: leave out --grouping and --global-parts")
    if config.shared_policy and config.simulation != "global":
        raise UserError("--shared-policy needs --simulation global: local simulators never share")
    return config
