"""`hinterland.train`, and what the command line shares with it: the order in which a run begins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hinterland.api.records import Logger, Recorder
from hinterland.api.start import machine, stopping
from hinterland.api.systems import get_domain, is_named, look_where_it_was, settings_of

if TYPE_CHECKING:
    import numpy as np

    from hinterland.api.policies import Policies
    from hinterland.config import Config
    from hinterland.core import Domain
    from hinterland.record import RunFolder
    from hinterland.runtime import LocalRuntime

    Checkpoint = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]

NO_CHECKPOINTS_S = 1e9
"""Seconds between two checkpoints where nothing is written: the last one is enough."""


@dataclass(frozen=True)
class Run:
    """A finished run: what `hinterland.train` returns."""

    summary: dict[str, Any]
    """As in summary.json: `summary["eval"]` holds the returns of the learned policies, sampled and
    greedy, and of the hand-written ones beside them."""
    policies: "Policies"
    """What was trained, to be called."""
    folder: Path | None
    """Where it was written; None: nowhere."""


class _How(NamedTuple):
    """What changes no result of a run."""

    devices: int | None
    logger: Logger | None
    progress: bool
    checkpoint_every: float


def train(
    domain: "str | Domain | None" = None,
    *,
    out: str | PathLike[str] | None = None,
    resume: str | PathLike[str] | None = None,
    network: str | Callable[..., Any] | None = None,
    devices: int | None = None,
    logger: Logger | None = None,
    progress: bool = False,
    checkpoint_every: float = 60.0,
    **settings: Any,
) -> Run:
    """Trains agents in a domain, and evaluates them on its global simulator.

    Ctrl-C raises KeyboardInterrupt once the run's newest state is saved, if there is a folder.

    Args:
        domain: an installed domain's name, "MODULE:FACTORY" of your own, or a domain object.
        out: folder of the run, as the command line writes it; by default nothing is written. Of a
            run in an object, `evaluate` and `load` need the object again.
        resume: folder of a run that goes on as it was configured; instead of `out` and settings.
        network: "gru", "feed-forward", or one of your own (docs/python.md): a function (key, spec)
            -> network, or its name, "MODULE:FUNCTION". Of a run with a function that no name finds,
            `resume`, `evaluate` and `load` need it again.
        devices: cores of the CPU, or accelerators; all by default. It changes no result on CPUs.
        logger: its `log(step, wall_s, phase, values)` is called for every line of metrics.
        progress: say on standard error how far it is.
        checkpoint_every: seconds between two checkpoints.
        settings: any setting of a run: `agents`, `steps`, `seed`, `simulation`, `preset`, ... and
            the domain's own; `hinterland train --help` lists them, with "_" for "-" here.

    Raises:
        UserError: something given cannot be, in one sentence.
        KeyboardInterrupt: of Ctrl-C.
    """
    from hinterland.core.errors import UserError

    how = _How(devices, logger, progress, checkpoint_every)
    if resume is None:
        if domain is None:
            raise UserError("which domain? Give a name ('hinterland domains'), or an object")
        if network is not None:
            settings = {"network": network, **settings}
        return _new(domain, None if out is None else Path(out), how, settings)
    if given := [name for name, x in (("out", out), *settings.items()) if x is not None]:
        raise UserError(f"resume continues a run as it was configured; leave out {given[0]}")
    return _resumed(Path(resume), domain, network, how)


def _new(domain: "str | Domain", out: Path | None, how: _How, settings: dict[str, Any]) -> Run:
    from hinterland.applies import check_applies
    from hinterland.config import make_config
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    with machine(how.devices) as runtime:
        if not isinstance(settings.get("network", ""), str):
            from hinterland.training import own_networks

            settings["network"] = own_networks.give(settings["network"])
        config = make_config(settings_of(domain, settings))
        check_applies(config)
        if not isinstance(domain, str) and (own := config.domain_options.keys() & settings.keys()):
            raise UserError(f"{min(own)}: the domain is an object, made already; leave it out")
        if out is not None:
            RunFolder.check_new(out)
        made = get_domain(config, given=None if isinstance(domain, str) else domain)
        notes = begin(config, made, runtime)
        if out is None:
            return _trained(config, made, runtime, None, None, how, notes)
        command = [f"hinterland.train({said(domain, out, settings)})"]
        manifest = manifest_of(config, command, runtime)
        if not is_named(domain):
            manifest["domain_object"] = True
        with RunFolder.create(out, config.model_dump(exclude_none=True), manifest) as folder:
            return _trained(config, made, runtime, folder, None, how, notes)


def said(domain: "str | Domain", out: Path, settings: Mapping[str, Any]) -> str:
    """The arguments of a call, for the manifest."""
    first = repr(domain) if isinstance(domain, str) else domain.name
    named = {**settings, "out": str(out)}
    return ", ".join([first, *(f"{name}={value!r}" for name, value in named.items())])


def _resumed(path: Path, domain: "str | Domain | None", network: Any, how: _How) -> Run:
    from hinterland.api.policies import load
    from hinterland.core.errors import UserError
    from hinterland.record import RunFolder

    if isinstance(domain, str):
        raise UserError("resume continues a run in its own domain; leave out the domain's name")
    if isinstance(network, str):
        raise UserError("resume continues a run with its own network; leave out the network's name")
    folder = RunFolder.read(path)
    if (summary := folder.result()) is not None:
        return Run(summary, load(path, domain=domain, network=network), path)
    with RunFolder.open(path) as folder:
        config, checkpoint = where_it_was(folder, domain, network)
        with machine(how.devices) as runtime:
            made = get_domain(config, folder, domain)
            notes = go_on(config, made, runtime, checkpoint)
            return _trained(config, made, runtime, folder, checkpoint, how, notes)


def _trained(
    config: "Config",
    domain: "Domain",
    runtime: "LocalRuntime",
    folder: "RunFolder | None",
    checkpoint: "Checkpoint | None",
    how: _How,
    notes: list[str],
) -> Run:
    from hinterland.api.display import note
    from hinterland.api.policies import policies_of
    from hinterland.training import Experiment
    from hinterland.training import train as train_in

    if how.progress:
        note(header(config, domain, runtime, folder))
        for text in (*getattr(domain, "notes", ()), *notes):
            note(f"note: {text}")
    display, spent = display_of(config, domain, checkpoint, quiet=not how.progress)
    recorder = Recorder(folder, how.logger)
    every = NO_CHECKPOINTS_S if folder is None else how.checkpoint_every
    experiment = Experiment(config, domain, runtime, recorder, display, spent, every)
    _, lines = steps_before(checkpoint)

    def begins() -> None:
        if folder is not None:
            folder.truncate_metrics(lines)

    try:
        with stopping(runtime.interrupt), display:
            summary = train_in(experiment, checkpoint, begins)
    except KeyboardInterrupt as error:
        if folder is not None:
            newest = max(folder.checkpoint_steps(), default=0)
            error.add_note(
                f"the newest checkpoint is at step {newest:,}; "
                f"hinterland.train(resume={str(folder.path)!r}) goes on from there"
            )
        raise
    finally:
        end_processes(domain)
    policies = policies_of(recorder.newest(), config, domain)
    return Run(summary, policies, None if folder is None else folder.path)


def end_processes(domain: Any) -> None:
    """Simulators outside of JAX begin anew when they are asked again."""
    from hinterland.core import simulators_of

    for simulator in simulators_of(domain):
        if hasattr(simulator, "sessions") and hasattr(simulator, "close"):
            simulator.close()


def begin(
    config: "Config", domain: "Domain", runtime: "LocalRuntime", kind: str = "local"
) -> list[str]:
    """Whether such a run can begin; notes for whoever waits for it.

    Args:
        config: of the run.
        domain: where it will train.
        runtime: where it will run.
        kind: of the runtime.

    Raises:
        UserError: it cannot, or some option would be ignored.
    """
    from hinterland.applies import check_applies
    from hinterland.training import check_config, check_resources

    check_config(config, domain, kind)
    check_applies(config, hasattr(domain, "own_network"))
    return check_resources(config, domain, runtime)


def where_it_was(
    folder: "RunFolder", domain: "Domain | None" = None, network: Any = None
) -> "tuple[Config, Checkpoint | None]":
    """(configuration, newest checkpoint) of a run that is to go on; nothing changes in its folder.

    The other arguments are as of `look_where_it_was`.

    Raises:
        UserError: something in it is damaged.
    """
    from hinterland.config import make_config

    look_where_it_was(folder, domain, network)
    config = make_config(folder.config)
    checkpoint = folder.load_checkpoint() if folder.checkpoint_steps() else None
    folder.check_metrics(checkpoint[1]["metrics_lines"] if checkpoint else 0)
    return config, checkpoint


def go_on(
    config: "Config",
    domain: "Domain",
    runtime: "LocalRuntime",
    checkpoint: "Checkpoint | None",
    kind: str = "local",
) -> list[str]:
    """As `begin`, of a run that goes on from a checkpoint (None: from its start)."""
    from hinterland.training import check_config, check_resources
    from hinterland.training.networks import check_step, load_policy

    check_config(config, domain, kind)
    notes = check_resources(config, domain, runtime)
    if checkpoint is not None:
        check_step(checkpoint[1], config)
        load_policy(checkpoint[0], config, domain)
    return notes


def manifest_of(config: "Config", command: list[str], runtime: "LocalRuntime") -> dict[str, Any]:
    """What a new run's folder says of its beginning."""
    from hinterland.domains.registry import file_of
    from hinterland.training import own_networks

    manifest: dict[str, Any] = {"command": command, "devices": runtime.describe()}
    if (file := file_of(config.domain)) is not None:
        manifest["domain_file"] = str(Path(file).resolve())
    if own_networks.is_given(config):
        manifest["network_object"] = True
    elif (file := file_of(config.network)) is not None:
        manifest["network_file"] = str(Path(file).resolve())
    return manifest


def header(
    config: "Config", domain: "Domain", runtime: "LocalRuntime", folder: "RunFolder | None"
) -> str:
    """Two lines on what is about to be trained, and where."""
    place = "no run folder" if folder is None else f"run folder {folder.path}"
    return (
        f"{config.domain}: {domain.agents} agents, {config.simulation} simulation, preset "
        f"{config.preset}, {config.steps:,} steps per agent, seed {config.seed}\n"
        f"{place}, devices: {', '.join(runtime.describe())}"
    )


def display_of(
    config: "Config", domain: "Domain", checkpoint: "Checkpoint | None", quiet: bool
) -> tuple[Any, Mapping[str, Any] | None]:
    """(who shows the progress, what earlier parts of the run have spent)."""
    from hinterland.api.display import Display

    spent = checkpoint[1].get("spent") if checkpoint else None
    total = config.total_updates * config.steps_per_update * domain.agents
    done, time = steps_before(checkpoint)[0] * domain.agents, (spent or {}).get("time")
    return Display(total, done, domain.agents, quiet, time), spent


def steps_before(checkpoint: "Checkpoint | None") -> tuple[int, int]:
    """(steps per agent, lines of metrics) that a run had at its checkpoint."""
    return (int(checkpoint[1]["step"]), checkpoint[1]["metrics_lines"]) if checkpoint else (0, 0)
