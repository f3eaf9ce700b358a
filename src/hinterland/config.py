"""One configuration object: the command line, the TOML file and the trainer read the same fields.

Each field carries its help text, unit and bounds. Presets are the defaults of a run; anything
given explicitly wins over the preset.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from hinterland.core import bounds
from hinterland.core.bounds import Range, number_of, shortened, whole_where_whole
from hinterland.core.errors import UserError
from hinterland.core.options import DomainOptions
from hinterland.domains.checked import checked
from hinterland.domains.declared import options_of
from hinterland.domains.registry import known_domains
from hinterland.presets import preset_of

__all__ = [
    "MILLION", "SEEDS", "STEPS", "WIDTH", "Config", "Range", "declared_by", "given_options",
    "make_config", "number_of", "range_of", "shortened",
]  # fmt: skip

SEEDS = 2**31 - 1
"""The largest seed, of everything that has one."""
MILLION = 1_000_000
STEPS = 10**12
WIDTH = 65_536
"""Of a layer. What a machine bears is another question: see `training.estimate`."""


class Config(BaseModel):
    """Everything that decides the numbers of a run, and nothing else (no paths, no machine)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    domain: str = Field(description="name of the domain, or MODULE:OBJECT of your own")
    simulation: Literal["dials", "global", "untrained"] = Field(
        "dials",
        description="where experience is simulated: local simulators with learned influence, the "
        "global simulator, or local simulators with an untrained predictor",
    )
    agents: int = Field(4, ge=1, le=MILLION, description="number of learning agents N")
    steps: int = Field(
        1_000_000, ge=1, le=STEPS, description="environment steps per agent, in total"
    )
    refresh: Annotated[int, Field(ge=1, le=STEPS)] | Literal["auto"] = Field(
        "auto",
        description="refresh period F: local steps per agent between two trainings of the "
        "influence predictors; auto: --steps divided by --refreshes",
    )
    refreshes: int = Field(
        20, ge=1, le=MILLION, description="refresh periods in a run, if --refresh is auto"
    )
    preset: Literal["fast", "paper"] = Field(
        "fast",
        description="fast: many copies and large minibatches; paper: the paper's hyperparameters",
    )
    seed: int = Field(0, ge=0, le=SEEDS, description="seed of every random stream of the run")
    shared_policy: bool = Field(
        False,
        description="global simulation only: all agents share one network and one recurrent "
        "state, as in the paper's public code",
    )

    evaluate_every: Annotated[int, Field(ge=1, le=STEPS)] | Literal["auto"] = Field(
        "auto",
        description="steps per agent between evaluations; auto: --steps divided by --evaluations",
    )
    evaluations: int = Field(
        10, ge=1, le=MILLION, description="evaluations in a run, if that is auto"
    )
    evaluate_episodes: int = Field(
        64,
        ge=2,
        le=MILLION,
        description="episodes of one evaluation, for sampled and for greedy actions each",
    )
    final_episodes: int = Field(
        256, ge=2, le=MILLION, description="episodes of the last evaluation"
    )

    network: Literal["gru", "feed-forward"] = Field("gru", description="kind of actor-critic")
    hidden: int = Field(256, ge=1, le=WIDTH, description="width of the first (recurrent) layer")
    trunk: int = Field(128, ge=1, le=WIDTH, description="width of the second layer")
    copies: int = Field(
        128, ge=1, le=MILLION, description="parallel copies of each local simulator"
    )
    window: int = Field(
        16, ge=1, le=100_000, description="steps of one recurrent sequence and of one GAE pass"
    )
    windows: int = Field(1, ge=1, le=100_000, description="windows between two policy updates")
    epochs: int = Field(2, ge=1, le=10_000, description="passes over the data of one update")
    minibatches: int = Field(4, ge=1, le=MILLION, description="minibatches of one epoch")
    learning_rate: float = Field(2e-3, gt=0, le=10, description="Adam step size at the start")
    anneal_rate: bool = Field(True, description="let the learning rate fall linearly to 0")
    clip: float = Field(0.2, gt=0, le=MILLION, description="PPO clip range at the start")
    anneal_clip: bool = Field(False, description="let the clip range fall linearly to 0")
    clip_value: bool = Field(False, description="clip the value loss by the same range")
    value_weight: float = Field(0.5, ge=0, le=MILLION, description="weight of the value loss")
    entropy_weight: float = Field(0.02, ge=0, le=MILLION, description="weight of the entropy bonus")
    anneal_entropy: bool = Field(True, description="let the entropy weight fall linearly to 0")
    gradient_norm: float = Field(
        0.5, ge=0, le=10**9, description="largest global gradient norm; 0: no limit"
    )
    adam_epsilon: float = Field(1e-5, gt=0, le=1, description="epsilon of Adam")
    discount: float = Field(0.9, gt=0, le=1, description="discount factor gamma")
    trace: float = Field(0.9, ge=0, le=1, description="GAE lambda")

    predictor: Literal["gru", "feed-forward"] = Field("gru", description="kind of predictor")
    predictor_hidden: int = Field(
        64, ge=1, le=WIDTH, description="width of the predictor's hidden layer"
    )
    predictor_episodes: int = Field(
        100,
        ge=2,
        le=MILLION,
        description="global episodes collected for one training of the predictors",
    )
    predictor_epochs: int = Field(
        15, ge=1, le=100_000, description="passes over the predictor's dataset"
    )
    predictor_batch: int = Field(
        15, ge=1, le=MILLION, description="episodes in one predictor minibatch"
    )
    predictor_rate: float = Field(3e-3, gt=0, le=10, description="predictor's Adam step size")

    credit: Literal["agent", "team"] | Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="who is paid for a reward: agent (the agent or entity; the default), "
        "team (one trajectory for all), or the weight w of w x own + (1-w) x team reward",
    )
    team_reward: Literal["mean", "sum"] | None = Field(
        None, description="the team's reward, over living groups (mean)"
    )
    grouping: str | None = Field(
        None,
        pattern=r"^(entity|single|mod-[1-9][0-9]{0,5})$",
        description="which slots share a trajectory: entity (none; the default), "
        "mod-N (slot number modulo N) or single (all)",
    )
    global_parts: str | None = Field(
        None,
        description="parts that all groups have in common, such as reward,critic; "
        "of reward, critic, advantage, probabilities, entropy, dones (none)",
    )
    keep: str | None = Field(
        None,
        pattern=r"^(all|(top|top-abs|top-return|random)-[1-9][0-9]{0,5})$",
        description="what is learned from of each step: all (the default), top-N "
        "by advantage, top-abs-N by its size, top-return-N, or random-N",
    )
    normaliser: Literal["cells", "steps", "fixed"] | None = Field(
        None,
        description="the loss is a mean over a minibatch's cells (the default), "
        "over each step's cells and then over steps, or a sum over a fixed number",
    )
    slot_networks: Literal["shared", "own", "role"] | None = Field(
        None,
        description="one network for all slots (shared; the default of entities), one per slot "
        "(own; the default of agents), or one for each role that the domain knows (role)",
    )
    pieces: int | None = Field(
        None,
        ge=1,
        le=MILLION,
        description="parts of a minibatch whose gradients are computed one after "
        "another; bounds memory, changes no result beyond rounding (1)",
    )

    channels: int | None = Field(
        None, ge=2, le=4_096, description="boards: channels of the convolutions (32)"
    )
    blocks: str | None = Field(
        None,
        pattern=r"^[0-9](,[0-9]){0,7}$",
        description="boards: residual blocks before each further convolution, such as 2,2 "
        "(the default)",
    )

    schedule: Literal["fused", "lockstep", "pipeline"] = Field(
        "fused",
        description="how experience travels: simulators and learners on all devices (fused), "
        "workers and learners in turn (lockstep), or side by side (pipeline)",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1_024,
        description="--schedule lockstep or pipeline: workers; each holds a snapshot of the policy "
        "and acts for its actors; of regions with learners of their own, those under way beside "
        "one for each device (1; of those 2)",
    )
    actors: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="--schedule lockstep or pipeline: actors of each worker; each has --copies "
        "copies; divides --windows (1)",
    )
    copies_per_process: int | None = Field(
        None,
        ge=1,
        le=MILLION,
        description="systems in processes of their own: copies that one process steps, "
        "one after another; divides copies x actors; if it is all of them, the pipeline's worker "
        "steps them itself (1)",
    )
    lag: int | None = Field(
        None,
        ge=0,
        le=1_000,
        description="--schedule pipeline: policy versions that a segment may be older than the "
        "learner; older ones are dropped and counted (1)",
    )
    queue: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="--schedule pipeline: segments that may wait for the learner before workers "
        "must (2)",
    )
    correction: Literal["vtrace", "clip"] | None = Field(
        None,
        description="what is done about older policies' actions: V-trace, or PPO's "
        "clipping around the policy that acted (vtrace)",
    )
    critic: Literal["own", "central"] | None = Field(
        None,
        description="values from each entity's own observations (own), or from the "
        "whole system's state too, in training only (central: MAPPO)",
    )

    opponents: str | None = Field(
        None,
        description="two-sided systems: who plays the other side, as NAME=WEIGHT,...; "
        "latest (the team itself), past (its snapshots) and the domain's hand-written policies; "
        "unset: whom the domain takes",
    )
    snapshot_every: int | None = Field(
        None,
        ge=1,
        le=MILLION,
        description="--opponents: updates between two snapshots of the team (20)",
    )
    pool: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="--opponents: snapshots that are kept; the oldest goes (8)",
    )

    domain_options: dict[str, Any] = Field(
        {}, description="what was set of the options that the domain declares"
    )

    def __hash__(self) -> int:
        """Programs are compiled once for each configuration."""
        return hash(self.model_dump_json())

    @model_serializer(mode="wrap")
    def _without_empty_table(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A domain that has no options has no table of them either."""
        found = dump(self)
        if not found.get("domain_options"):
            found.pop("domain_options", None)
        return found

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
        """Steps per agent between two evaluations."""
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


SCHEDULE_OPTIONS = ("workers", "actors", "lag", "queue")
"""What schedules with workers have."""
POOL_OPTIONS = ("snapshot_every", "pool")
GLOBAL_PARTS = ("reward", "critic", "advantage", "probabilities", "entropy", "dones")


_SAID = {
    # Where what the checker says would not help.
    "refresh": f"must be auto or a whole number, 1 to {STEPS:,}",
    "evaluate_every": f"must be auto or a whole number, 1 to {STEPS:,}",
    "credit": "must be agent, team, or a weight from 0 to 1 of the own reward",
    "grouping": "must be entity, single or mod-N, for example mod-4; N is 999,999 at most",
    "keep": "must be all, top-N, top-abs-N, top-return-N or random-N, for example top-1; "
    "N is 999,999 at most",
    "blocks": "must be up to eight numbers from 0 to 9, for example 2,2",
}


def range_of(name: str) -> Range:
    """What the number in that field may be; of those with a word beside it, the number's part."""
    return bounds.range_of(Config.model_fields[name])


def given_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without a table: the domain's own beside the general ones, as presets see them.

    Raises:
        UserError: the table is none.
    """
    own = values.get("domain_options", {})
    if not isinstance(own, Mapping):
        raise UserError("[domain_options] must be a table of the domain's options")
    return {**own, **{name: x for name, x in values.items() if name != "domain_options"}}


def make_config(values: Mapping[str, Any]) -> Config:
    """A checked configuration: explicit values over the preset over the defaults.

    Args:
        values: by name. Options of the domain stand beside the others, as on the command line and
            in older run folders, or in a table "domain_options"; the former win.

    Raises:
        UserError: an unknown name or a value out of bounds, in one sentence.
    """
    values = given_options(values)
    domain = values.get("domain")
    declared = declared_by(domain) if isinstance(domain, str) else DomainOptions
    preset = preset_of(values, declared)
    _check_schedule(values, preset)
    values = {
        name: whole_where_whole(Config.model_fields[name], value)
        if name in Config.model_fields else value
        for name, value in values.items()
    }  # fmt: skip
    chosen = {**preset, **values}
    general = {name: x for name, x in chosen.items() if name in Config.model_fields}
    own = {name: x for name, x in chosen.items() if name not in Config.model_fields}
    try:
        config = Config(**general)
    except ValidationError as error:
        first: Any = error.errors()[0]
        name = str(first["loc"][0])
        said = _SAID.get(name) or bounds.problem(Config.model_fields[name], first)
        raise UserError(f"{bounds.flag_of(name)} {shortened(first['input'])}: {said}") from None
    options = checked(config.domain, declared, own)
    table = options.model_dump(exclude_unset=True, exclude_none=True)
    config = config.model_copy(update={"domain_options": table})
    _check_together(config)
    return config


def declared_by(domain: str) -> type[DomainOptions]:
    """What a domain declares; nothing, if no name finds it: an object of somebody's script.

    Raises:
        UserError: an option of its has the name of a general one.
    """
    if ":" not in domain and domain not in known_domains():
        return DomainOptions
    declared = options_of(domain)
    for name in declared.model_fields:
        if name in Config.model_fields:
            raise UserError(
                f"domain {domain!r} declares an option {name!r}, which every run has: rename it"
            )
    return declared


def _check_schedule(values: Mapping[str, Any], preset: Mapping[str, Any]) -> None:
    if {**preset, **values}.get("schedule", "fused") == "fused":
        for option in SCHEDULE_OPTIONS:
            if values.get(option) is not None:
                flag = bounds.flag_of(option)
                raise UserError(f"{flag} is a part of --schedule pipeline or lockstep")
    for option in POOL_OPTIONS:
        if values.get(option) is not None and values.get("opponents") is None:
            raise UserError(f"{bounds.flag_of(option)} is a part of --opponents")


def _check_together(config: Config) -> None:
    sequences = config.windows * config.copies
    if sequences % config.minibatches:
        raise UserError(
            f"--minibatches {config.minibatches}: must divide copies x windows = {sequences}"
        )
    if config.total_updates > SEEDS:
        raise UserError(
            f"--steps {config.steps}: {config.total_updates:,} updates of "
            f"{config.steps_per_update:,} steps are more than {SEEDS:,}: raise --copies, --window "
            "or --windows"
        )
    for part in config.global_names:
        if part not in GLOBAL_PARTS:
            raise UserError(f"--global-parts {part}: known are {', '.join(GLOBAL_PARTS)}")
    if config.credit == "team" and (config.grouping or config.global_parts):
        raise UserError("--credit team is one trajectory: leave out --grouping and --global-parts")
    if config.shared_policy and config.simulation != "global":
        raise UserError("--shared-policy needs --simulation global: local simulators never share")
