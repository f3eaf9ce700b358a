"""Domains of runs: by name or as objects, checked before anything is trained in them."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hinterland.api.display import note
from hinterland.api.start import start_jax

if TYPE_CHECKING:
    from hinterland.config import Config
    from hinterland.core import Domain
    from hinterland.record import RunFolder


def completed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings given explicitly, and what the files or programs that they name decide.

    Raises:
        UserError: those cannot be read.
    """
    from hinterland.config import declared_by, given_options

    given = given_options(values)
    if not isinstance(domain := given.get("domain"), str):
        return given  # refused later
    declared = declared_by(domain)
    if declared.model_fields.keys() & given.keys():
        start_jax()  # domains want it
    return declared.completed(given)


def prepare_for(domain: str | None) -> None:
    """What comes before the options of a user's own domain are read: its module may make arrays.

    Raises:
        UserError: JAX does not start.
    """
    if domain is not None and ":" in domain:
        from hinterland.runtime import use_32_bits

        start_jax()
        use_32_bits()


def get_domain(
    config: "Config", folder: "RunFolder | None" = None, given: "Domain | None" = None
) -> "Domain":
    """The domain; one of the user's own is checked before anything is trained in it.

    Args:
        config: names it.
        folder: of a run that began with it, when simulators from outside were checked.
        given: the object itself, where there is one.

    Raises:
        UserError: it cannot be made here, or does not keep the contracts.
    """
    from hinterland.config import declared_by
    from hinterland.core.errors import UserError
    from hinterland.domains import known_domains, load_domain
    from hinterland.domains.pool import SharingPool

    if given is not None:
        domain = given
    elif folder is not None and folder.manifest.get("domain_object"):
        raise UserError(
            f"run {folder.path} was trained in a domain object, {config.domain!r}, which only its "
            "script can make: go on there, and give the object as domain=; or train "
            "MODULE:FACTORY, which can be made again by name"
        )
    else:
        domain = load_domain(config.domain, config.agents, config.domain_options)
    own, each = config.domain not in known_domains(), config.copies_per_process or 1
    ours = type(domain).__module__.startswith("hinterland.")
    outside = declared_by(config.domain).from_outside
    if own or not ours or (outside and folder is None):
        from hinterland.testing import check_domain
        from hinterland.testing.host_entities import DISTURBED

        for line in check_domain(domain, episodes=1):
            if each > 1 and line.startswith(DISTURBED):
                raise UserError(f"--copies-per-process {each}: {line}")
    if domain.agents != config.agents:
        raise UserError(
            f"the domain that was given has {domain.agents} agents, the run {config.agents}: give "
            "the one that the run began with"
        )
    simulator: Any = getattr(domain, "entity_simulator", None)
    if isinstance(simulator, SharingPool):
        simulator.together = each
        if each > 1:
            simulator.close()  # the judge's processes, which nobody asks again
    return domain


def settings_of(domain: "str | Domain", settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's configuration is made of: what was given, and what the domain says of itself.

    Args:
        domain: a name, MODULE:FACTORY, or an object.
        settings: given beside it.

    Raises:
        UserError: it is neither, or has another number of agents than was asked for.
    """
    from hinterland.core.errors import UserError
    from hinterland.domains import named
    from hinterland.domains.registry import is_domain, source_of

    if isinstance(domain, str):
        return dict(completed({**settings, "domain": domain}))
    if isinstance(domain, type) or not is_domain(domain):
        raise UserError(
            f"domain is {named.kind_of(domain)}: give a name, MODULE:FACTORY, or a domain, which "
            "is an object with name, agents, spec, scripted and simulators (docs/own-domain.md)"
        )
    if (source := source_of(domain)) is None:
        from hinterland.testing.attributes import check_attributes

        check_attributes(domain)
    name, agents, options = source or (domain.name, domain.agents, ())
    if settings.get("agents", agents) != agents:
        raise UserError(f"agents={settings['agents']}: the domain that was given has {agents}")
    return {**settings, **dict(options), "domain": name, "agents": agents}


def is_named(domain: "str | Domain") -> bool:
    """Whether other processes can make it by its name; an object of a script they cannot."""
    from hinterland.domains.registry import source_of

    return isinstance(domain, str) or source_of(domain) is not None


def look_where_it_was(
    folder: "RunFolder", domain: "Domain | None" = None, network: Any = None
) -> None:
    """Whether a run's own modules are found, and are those it began with; before they are imported.

    Args:
        folder: of the run.
        domain: the object that was given in place of a module.
        network: the function that was given in place of one.

    Raises:
        UserError: one is not found, or a function is missing.
    """
    from hinterland.core.errors import UserError
    from hinterland.training import own_networks

    if domain is None:
        _look(str(folder.config["domain"]), folder.manifest.get("domain_file"))
    name = str(folder.config.get("network", ""))
    if network is not None:
        if ":" not in name:
            raise UserError(f"the network of run {folder.path} is ours, {name}: leave out network")
        own_networks.give(network, name)
    elif folder.manifest.get("network_object"):
        raise UserError(
            f"run {folder.path} has a network that only its script can make, {name!r}: go on "
            "there, and give the function as network=; or train with MODULE:FUNCTION, which can "
            "be made again by name"
        )
    else:
        _look(name, folder.manifest.get("network_file"))


def _look(name: str, before: Any) -> None:
    from hinterland.core.errors import UserError
    from hinterland.domains.registry import file_of

    if not isinstance(before, str):
        return
    module, here = name.partition(":")[0], file_of(name)
    if here is None:
        packages = module.count(".") + (Path(before).name == "__init__.py")
        raise UserError(
            f"module {module!r} is not found from here; when the run began it was {before}: go to "
            f"{Path(before).parents[packages]}, or put that folder on PYTHONPATH"
        )
    if os.path.realpath(here) != os.path.realpath(before):
        _note(f"module {module!r} is {here}; when the run began it was {before}")


@cache
def _note(text: str) -> None:
    """Said once, however often the domain is made."""
    note(f"note: {text}")


def with_anew(config: "Config", anew: Mapping[str, Any]) -> "Config":
    """The configuration of a run with other options of its domain, for an evaluation.

    Args:
        config: of the run.
        anew: those options, which the domain declares for that.

    Raises:
        UserError: the domain does not, or the run does not read one.
    """
    from hinterland.config import declared_by, given_options, make_config
    from hinterland.core.bounds import flag_of
    from hinterland.core.errors import UserError
    from hinterland.domains.checked import not_an_option

    if not anew:
        return config
    declared = declared_by(config.domain)
    values = given_options(config.model_dump(exclude_none=True))
    unread = declared.unread(values)
    for name in anew:
        if name not in declared.model_fields:
            raise UserError(not_an_option(config.domain, name))
        if name not in declared.anew:
            may = ", ".join(map(flag_of, declared.anew)) or "none"
            raise UserError(f"{flag_of(name)} is of training; an evaluation may change: {may}")
        if name in unread:
            raise UserError(f"{flag_of(name)} {anew[name]}: {unread[name]}; leave it out")
    return make_config({**values, **anew})


def trained_policy(
    folder: "RunFolder",
    step: int | None = None,
    given: "Domain | None" = None,
    network: Any = None,
    anew: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Any, Any, Any, int]:
    """(configuration, domain, policy, step) of a run's newest or named checkpoint.

    `anew` is as of `with_anew`.
    """
    from hinterland.config import make_config
    from hinterland.training.networks import check_step, load_policy

    look_where_it_was(folder, given, network)
    config = with_anew(make_config(folder.config), anew)
    # What is damaged is said before a domain, which may be a thousand processes, is made.
    arrays, meta = folder.load_checkpoint(step)
    check_step(meta, config)
    domain = get_domain(config, folder, given)
    return config, domain, load_policy(arrays, config, domain), meta["step"]
