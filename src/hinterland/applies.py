"""Which options a run reads, by its kind: one that it would not read is refused where it is given.

Given means: other than what the preset, or else the default, says. So a run's own config.toml,
which holds every value, starts the same run again.
"""

from collections.abc import Iterable, Iterator

from hinterland.config import Config, declared_by, given_options, preset_of
from hinterland.core.bounds import flag_of
from hinterland.core.errors import UserError

PREDICTED = ("refresh", "refreshes", "predictor_episodes", "predictor_epochs", "predictor_batch",
             "predictor_rate")  # fmt: skip
"""What decides when and how predictors are trained."""


def given(config: Config) -> list[str]:
    """The fields that say something else than preset and default, in their order."""
    declared, values = declared_by(config.domain), {**dict(config), **config.domain_options}
    preset = preset_of(given_options(config.model_dump(exclude_none=True)), declared)
    fields = {**Config.model_fields, **{x: declared.model_fields[x] for x in config.domain_options}}
    return [
        name
        for name, field in fields.items()
        if name not in ("domain", "domain_options")
        and values[name] != preset.get(name, field.default)
    ]


def ignored(config: Config, brings: bool = False) -> dict[str, str]:
    """For each given field that such a run does not read, what it is for.

    Args:
        config: of the run.
        brings: whether the domain brings its own network.
    """
    unread = {x: reason for names, reason in _unread(config, brings) for x in names}
    return {name: unread[name] for name in given(config) if name in unread}


def check_applies(config: Config, brings: bool = False) -> None:
    """Refuses what would be ignored; arguments as `ignored`.

    Raises:
        UserError: the first such option, and what it is for.
    """
    for name, reason in ignored(config, brings).items():
        value = {**config.domain_options, **dict(config)}.get(name)
        flag = flag_of(f"no-{name}" if value is False else name)
        said = flag if isinstance(value, bool) else f"{flag} {value}"
        raise UserError(f"{said}: {reason}; leave it out")


def _unread(config: Config, brings: bool) -> Iterator[tuple[Iterable[str], str]]:
    """(names, what they are for); of a name's several reasons the last one counts."""
    if config.simulation != "dials":
        yield PREDICTED, "is for --simulation dials, which trains predictors"
    if config.simulation == "global":
        reason = "is for local simulators (--simulation dials or untrained), which have predictors"
        yield ("predictor", "predictor_hidden"), reason
    if config.refresh != "auto":
        yield ("refreshes",), "is for --refresh auto"
    if config.evaluate_every != "auto":
        yield ("evaluations",), "is for --evaluate-every auto"
    if config.schedule == "lockstep":
        yield ("queue",), "is for --schedule pipeline: in lockstep nothing waits"
        if config.lag:
            yield ("lag",), "is for --schedule pipeline: in lockstep nothing is older"
    if config.opponents is not None and "past=" not in config.opponents:
        reason = "is for --opponents past=WEIGHT, which plays against snapshots"
        yield ("snapshot_every", "pool"), reason
    own = ":" in config.network
    if (own or brings) and config.critic != "central":
        yield ("hidden", "trunk"), "is for --network gru and feed-forward"
    if brings and not own:
        yield ("network",), f"{config.domain} brings its own network"
    settings = given_options(config.model_dump(exclude_none=True))
    for name, reason in declared_by(config.domain).unread(settings).items():
        yield (name,), reason
    share = config.credit if isinstance(config.credit, float) else 1.0
    if share == 1 and not {"reward", "advantage"} & {*config.global_names}:
        reason = (
            "nothing of the team's reward is paid: it is for --credit WEIGHT and --global-parts"
        )
        yield ("team_reward",), reason
    if "reward" in config.global_names and config.credit is not None:
        yield ("credit",), "--global-parts reward pays everybody the team's reward"
