"""One configuration object: the command line, the TOML file and the trainer read the same fields.

Each field carries its help text, unit and bounds. Presets are the defaults of a run; anything
given explicitly wins over the preset.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hinterland.core.bounds import checked, flag_of
from hinterland.core.errors import UserError
from hinterland.core.options import DomainOptions
from hinterland.domains import checked as domain_options
from hinterland.domains.declared import options_of
from hinterland.domains.registry import known_domains

SEEDS = 2**31 - 1
"""The largest seed, of everything that has one."""
MILLION = 1_000_000
STEPS = 10**12
WIDTH = 65_536
"""Of a layer. What a machine bears is another question: see `training.estimate`."""

Count = Annotated[int, Field(ge=1, le=MILLION)]
Episodes = Annotated[int, Field(ge=2, le=MILLION)]
Steps = Annotated[int, Field(ge=1, le=STEPS)]
Width = Annotated[int, Field(ge=1, le=WIDTH)]
Passes = Annotated[int, Field(ge=1, le=100_000)]
Few = Annotated[int, Field(ge=1, le=10_000)]
Rate = Annotated[float, Field(gt=0, le=10)]
Weight = Annotated[float, Field(ge=0, le=MILLION)]
Share = Annotated[float, Field(ge=0, le=1)]


class Config(BaseModel):
    """Everything that decides the numbers of a run, and nothing else (no paths, no machine).

    A field's description is its help; a long one stands below it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    domain: str = Field(description="name of the domain, or MODULE:OBJECT of your own")
    simulation: Literal["dials", "global", "untrained"] = "dials"
    """where experience is simulated: local simulators with learned influence, the global simulator,
    or local simulators with an untrained predictor"""
    agents: Count = Field(4, description="number of learning agents N")
    steps: Steps = Field(1_000_000, description="environment steps per agent, in total")
    refresh: Steps | Literal["auto"] = "auto"
    """refresh period F: local steps per agent between two trainings of the influence predictors;
    auto: --steps divided by --refreshes"""
    refreshes: Count = Field(20, description="refresh periods in a run, if --refresh is auto")
    preset: Literal["fast", "paper"] = "fast"
    """fast: many copies and large minibatches; paper: the paper's hyperparameters"""
    seed: int = Field(0, ge=0, le=SEEDS, description="seed of every random stream of the run")
    shared_policy: bool = False
    """global simulation only: all agents share one network and one recurrent state, as in the
    paper's public code"""

    evaluate_every: Steps | Literal["auto"] = "auto"
    """steps per agent between evaluations; auto: --steps divided by --evaluations"""
    evaluations: Count = Field(10, description="evaluations in a run, if that is auto")
    evaluate_episodes: Episodes = 64
    """episodes of one evaluation, for sampled and for greedy actions each"""
    final_episodes: Episodes = Field(256, description="episodes of the last evaluation")

    network: str = Field("gru", pattern=r"^(gru|feed-forward|[^:]+:[^:]+)$")
    """kind of actor-critic, gru or feed-forward, or MODULE:FUNCTION of your own"""
    hidden: Width = Field(256, description="width of the first (recurrent) layer")
    trunk: Width = Field(128, description="width of the second layer")
    copies: Count = Field(128, description="parallel copies of each local simulator")
    window: Passes = Field(16, description="steps of one recurrent sequence and of one GAE pass")
    windows: Passes = Field(1, description="windows between two policy updates")
    epochs: Few = Field(2, description="passes over the data of one update")
    minibatches: Count = Field(4, description="minibatches of one epoch")
    learning_rate: Rate = Field(2e-3, description="Adam step size at the start")
    anneal_rate: bool = Field(True, description="let the learning rate fall linearly to 0")
    clip: float = Field(0.2, gt=0, le=MILLION, description="PPO clip range at the start")
    anneal_clip: bool = Field(False, description="let the clip range fall linearly to 0")
    clip_value: bool = Field(False, description="clip the value loss by the same range")
    value_weight: Weight = Field(0.5, description="weight of the value loss")
    entropy_weight: Weight = Field(0.02, description="weight of the entropy bonus")
    anneal_entropy: bool = Field(True, description="let the entropy weight fall linearly to 0")
    gradient_norm: float = Field(0.5, ge=0, le=10**9)
    """largest global gradient norm; 0: no limit"""
    adam_epsilon: float = Field(1e-5, gt=0, le=1, description="epsilon of Adam")
    discount: float = Field(0.9, gt=0, le=1, description="discount factor gamma")
    trace: Share = Field(0.9, description="GAE lambda")

    predictor: Literal["gru", "feed-forward"] = Field("gru", description="kind of predictor")
    predictor_hidden: Width = Field(64, description="width of the predictor's hidden layer")
    predictor_episodes: Episodes = 100
    """global episodes collected for one training of the predictors"""
    predictor_epochs: Passes = Field(15, description="passes over the predictor's dataset")
    predictor_batch: Count = Field(15, description="episodes in one predictor minibatch")
    predictor_rate: Rate = Field(3e-3, description="predictor's Adam step size")

    credit: Literal["agent", "team"] | Share | None = None
    """who is paid for a reward: agent (the agent or entity; the default), team (one trajectory for
    all), or the weight w of w x own + (1-w) x team reward"""
    team_reward: Literal["mean", "sum"] | None = None
    """the team's reward, over living groups (mean)"""
    grouping: str | None = Field(None, pattern=r"^(entity|single|mod-[1-9][0-9]{0,5})$")
    """which slots share a trajectory: entity (none; the default), mod-N (slot number modulo N) or
    single (all)"""
    global_parts: str | None = None
    """parts that all groups have in common, such as reward,critic; of reward, critic, advantage,
    probabilities, entropy, dones (none)"""
    keep: str | None = Field(None, pattern=r"^(all|(top(-abs|-return)?|random)-[1-9][0-9]{0,5})$")
    """what is learned from of each step: all (the default), top-N by advantage, top-abs-N by its
    size, top-return-N, or random-N"""
    normaliser: Literal["cells", "steps", "fixed"] | None = None
    """the loss is a mean over a minibatch's cells (the default), over each step's cells and then
    over steps, or a sum over a fixed number"""
    slot_networks: Literal["shared", "own", "role"] | None = None
    """one network for all slots (shared; the default of entities), one per slot (own; the default
    of agents), or one for each role that the domain knows (role)"""
    pieces: Count | None = None
    """parts of a minibatch whose gradients are computed one after another; bounds memory, changes
    no result beyond rounding (1)"""

    schedule: Literal["fused", "lockstep", "pipeline"] = "fused"
    """how experience travels: simulators and learners on all devices (fused), workers and learners
    in turn (lockstep), or side by side (pipeline)"""
    workers: int | None = Field(None, ge=1, le=1_024)
    """--schedule lockstep or pipeline: workers; each holds a snapshot of the policy and acts for
    its actors; of regions with learners of their own, those under way beside one for each device
    (1; of those 2)"""
    actors: Few | None = None
    """--schedule lockstep or pipeline: actors of each worker; each has --copies copies; divides
    --windows (1)"""
    copies_per_process: Count | None = None
    """systems in processes of their own: copies that one process steps, one after another; divides
    copies x actors; if it is all of them, the pipeline's worker steps them itself (1)"""
    lag: int | None = Field(None, ge=0, le=1_000)
    """--schedule pipeline: policy versions that a segment may be older than the learner; older ones
    are dropped and counted (1)"""
    queue: Few | None = None
    """--schedule pipeline: segments that may wait for the learner before workers must (2)"""
    correction: Literal["vtrace", "clip"] | None = None
    """what is done about older policies' actions: V-trace, or PPO's clipping around the policy that
    acted (vtrace)"""
    critic: Literal["own", "central"] | None = None
    """values from each entity's own observations (own), or from the whole system's state too, in
    training only (central: MAPPO)"""

    opponents: str | None = None
    """two-sided systems: who plays the other side, as NAME=WEIGHT,...; latest (the team itself),
    past (its snapshots) and the domain's hand-written policies; unset: whom the domain takes"""
    snapshot_every: Count | None = None
    """--opponents: updates between two snapshots of the team (20)"""
    pool: Few | None = None
    """--opponents: snapshots that are kept; the oldest goes (8)"""

    domain_options: dict[str, Any] = Field({}, exclude_if=lambda table: not table)
    """what was set of the options that the domain declares"""

    def __hash__(self) -> int:
        """Programs are compiled once for each configuration."""
        return hash(self.model_dump_json())

    @property
    def global_names(self) -> list[str]:
        """The names in `global_parts`."""
        return [x.strip() for x in (self.global_parts or "").split(",") if x.strip()]

    @property
    def refresh_steps(self) -> int:
        """F in steps per agent."""
        return max(1, self.steps // self.refreshes) if self.refresh == "auto" else self.refresh

    @property
    def evaluation_steps(self) -> int:
        """Steps per agent between two evaluations."""
        every = self.evaluate_every
        return max(1, self.steps // self.evaluations) if every == "auto" else every

    @property
    def steps_per_update(self) -> int:
        """Environment steps per agent that one policy update consumes."""
        return self.copies * self.window * self.windows

    @property
    def total_updates(self) -> int:
        """Policy updates per agent in the whole run; the last one is not cut short."""
        return -(-self.steps // self.steps_per_update)


PAPER: dict[str, Any] = {
    # Tables 4-6 of the paper with the public code's real behaviour where the two differ.
    "steps": 4_000_000,
    "refreshes": 1,
    "evaluations": 40,
    "evaluate_episodes": 100,
    "copies": 1,
    "window": 8,
    "windows": 16,
    "entropy_weight": 0.01,
    "discount": 0.99,
    "trace": 0.95,
    "epochs": 3,
    "minibatches": 4,
    "learning_rate": 2.5e-4,
    "clip": 0.1,
    "anneal_clip": True,
    "anneal_entropy": False,
    "clip_value": True,
    "value_weight": 1.0,
    "gradient_norm": 0.0,
    "adam_epsilon": 1e-8,
    "predictor_epochs": 300,
    "predictor_batch": 32,
    "predictor_rate": 1e-4,
}
"""The settings of --preset paper in every domain."""
GLOBAL_PARTS = ("reward", "critic", "advantage", "probabilities", "entropy", "dones")
_AUTO = f"must be auto or a whole number, 1 to {STEPS:,}"
_SAID = {
    # Where what the checker says would not help.
    "refresh": _AUTO,
    "evaluate_every": _AUTO,
    "credit": "must be agent, team, or a weight from 0 to 1 of the own reward",
    "grouping": "must be entity, single or mod-N, for example mod-4; N is 999,999 at most",
    "keep": "must be all, top-N, top-abs-N, top-return-N or random-N, for example top-1; "
    "N is 999,999 at most",
    "network": "must be gru, feed-forward, or MODULE:FUNCTION of your own",
}


def given_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without a table: the domain's own beside the general ones, as presets see them.

    Raises:
        UserError: the table is none.
    """
    own = values.get("domain_options", {})
    if not isinstance(own, Mapping):
        raise UserError("[domain_options] must be a table of the domain's options")
    return {**own, **{name: x for name, x in values.items() if name != "domain_options"}}


def preset_of(values: Mapping[str, Any], declared: type[DomainOptions]) -> dict[str, Any]:
    """The settings that explicit values win over, those of the domain's own options among them.

    Args:
        values: what was set explicitly; some settings decide others.
        declared: by the domain.
    """
    name = values.get("preset", "fast")
    return {**(PAPER if name == "paper" else {}), **declared.preset(name, values)}


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
    chosen = {**preset_of(values, declared), **values}
    for whole, there, options in (
        ("--schedule pipeline or lockstep", chosen.get("schedule", "fused") != "fused",
         ("workers", "actors", "lag", "queue")),
        ("--opponents", values.get("opponents") is not None, ("snapshot_every", "pool")),
    ):  # fmt: skip
        for option in () if there else options:
            if values.get(option) is not None:
                raise UserError(f"{flag_of(option)} is a part of {whole}")
    own = {name: chosen.pop(name) for name in [*chosen] if name not in Config.model_fields}
    config = checked(Config, chosen, _SAID)
    options = domain_options.checked(config.domain, declared, own)
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
        raise UserError(
            "--shared-policy needs --simulation global; one network in all local simulators is "
            "--slot-networks shared"
        )
