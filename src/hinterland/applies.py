"""Which options a run reads, by its kind: one that it would not read is refused where it is given.

Given means: other than what the preset, or else the default, says. So a run's own config.toml,
which holds every value, starts the same run again.
"""

from typing import Any

from hinterland.config import Config, declared_by, given_options
from hinterland.core.errors import UserError
from hinterland.presets import preset_of

PREDICTED = ("refresh", "refreshes", "predictor_episodes", "predictor_epochs", "predictor_batch",
             "predictor_rate")  # fmt: skip
"""What decides when and how predictors are trained."""


def given(config: Config) -> list[str]:
    """The fields that say something else than preset and default, in their order."""
    declared = declared_by(config.domain)
    preset = preset_of(given_options(config.model_dump(exclude_none=True)), declared)
    return [
        *(
            name
            for name, field in Config.model_fields.items()
            if not field.is_required()
            and name != "domain_options"
            and getattr(config, name) != preset.get(name, field.default)
        ),
        *(
            name
            for name, value in config.domain_options.items()
            if value != preset.get(name, declared.model_fields[name].default)
        ),
    ]


def ignored(config: Config, brings: bool = False) -> dict[str, str]:
    """For each given field that such a run does not read, what it is for.

    Args:
        config: of the run.
        brings: whether the domain brings its own network.
    """
    settings = config.model_dump(exclude_none=True)
    unread = {
        **_without_predictors(config),
        **_periods(config),
        **_of_schedules(config),
        **_of_networks(config, brings),
        **declared_by(config.domain).unread(given_options(settings)),
        **_of_credit(config),
    }
    return {name: unread[name] for name in given(config) if name in unread}


def check_applies(config: Config, brings: bool = False) -> None:
    """Refuses what would be ignored; arguments as `ignored`.

    Raises:
        UserError: the first such option, and what it is for.
    """
    for name, reason in ignored(config, brings).items():
        value = {**config.domain_options, **dict(config)}.get(name)
        flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
        said = flag if isinstance(value, bool) else f"{flag} {value}"
        raise UserError(f"{said}: {reason}; leave it out")


def _without_predictors(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    if config.simulation != "dials":
        found |= dict.fromkeys(PREDICTED, "is for --simulation dials, which trains predictors")
    if config.simulation == "global":
        reason = "is for local simulators (--simulation dials or untrained), which have predictors"
        found |= dict.fromkeys(("predictor", "predictor_hidden"), reason)
    return found


def _periods(config: Config) -> dict[str, str]:
    found = {}
    if config.refresh != "auto":
        found["refreshes"] = "is for --refresh auto"
    if config.evaluate_every != "auto":
        found["evaluations"] = "is for --evaluate-every auto"
    return found


def _of_schedules(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    if config.schedule == "lockstep":
        found["queue"] = "is for --schedule pipeline: in lockstep nothing waits"
        if config.lag:
            found["lag"] = "is for --schedule pipeline: in lockstep nothing is older"
    if config.opponents is not None and "past=" not in config.opponents:
        reason = "is for --opponents past=WEIGHT, which plays against snapshots"
        found |= dict.fromkeys(("snapshot_every", "pool"), reason)
    return found


def _of_networks(config: Config, brings: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    own = ":" in config.network
    if (own or brings) and config.critic != "central":
        found |= dict.fromkeys(("hidden", "trunk"), "is for --network gru and feed-forward")
    if brings and not own:
        found["network"] = f"{config.domain} brings its own network"
    return found


def _of_credit(config: Config) -> dict[str, str]:
    found: dict[str, str] = {}
    own: Any = config.credit if isinstance(config.credit, float) else 1.0
    team = own < 1 or {"reward", "advantage"} & {*config.global_names}
    if not team:
        found["team_reward"] = (
            "nothing of the team's reward is paid: it is for --credit WEIGHT and --global-parts"
        )
    if "reward" in config.global_names and config.credit is not None:
        found["credit"] = "--global-parts reward pays everybody the team's reward"
    return found
