"""What a domain tells the command line before it is made: its options, presets and benchmarks.

A domain names its subclass of `DomainOptions` under the entry-point group "hinterland.options", or
calls it `Options` in the module of its factory. The first way keeps `--help` quick: the class can
lie in a module that needs no JAX.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

FILE = "file"
"""Marks an option that names a file: `net: Annotated[str | None, FILE] = Field(None, ...)`."""
FILES = "files"
"""Marks one that names several, with commas in between; each time it is given adds to them."""


@dataclass(frozen=True)
class Published:
    """A paper's own figures, which reports set beside a run's.

    Args:
        seconds: by agents: (s per 100,000 steps per agent on the global simulator, the same with
            local ones, s for one training of the predictors).
        refresh: the refresh period of its curves, as it is said, such as "1M".
        curves: "package:file.json" of {agents: {simulation: [[step, return], ...]}}.
        memory: by agents and simulation: (lowest, highest) MB of all processes together.
    """

    seconds: Mapping[int, tuple[int, int, int]]
    refresh: str
    curves: str
    memory: Mapping[int, Mapping[str, tuple[float, float]]]


class DomainOptions(BaseModel):
    """Base of a domain's options: a field for each, with default, description, unit and bounds.

    Fields become flags of `hinterland train DOMAIN`, keyword arguments of the domain's factory and
    the table [domain_options] of config.toml. They may hold whole numbers, numbers, texts, truth
    values or one of some words (Literal); None means that the domain decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    summary: ClassVar[str] = ""
    """One sentence for `hinterland domains`."""
    kind: ClassVar[Literal["", "agents", "entities", "games"]] = ""
    """agents: regions with influence; entities: come and go; games: entities of several sides."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings of the learner, and of the domain, by preset (fast, paper)."""
    benches: ClassVar[Mapping[str, str]] = {}
    """Modules by the name in `hinterland bench NAME`; each has SUMMARY, add_options, measure."""
    published: ClassVar[Published | None] = None
    """What a paper reports of this domain."""
    anew: ClassVar[tuple[str, ...]] = ()
    """Options that an evaluation may give another value: they change its episodes, and neither the
    number of agents nor what they see and do."""
    from_outside: ClassVar[bool] = False
    """Whether an option names somebody else's simulator, which is then checked before a run."""

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings of a preset; to override where some settings decide others.

        Args:
            name: of the preset.
            given: all settings that were given explicitly, which win; not yet checked.
        """
        return cls.presets.get(name, {})

    @classmethod
    def completed(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings given, and what files or programs that they name decide.

        Such as the number of agents, or the whole path of a file. Runs begin with it.

        Raises:
            UserError: those cannot be read.
        """
        return given

    @classmethod
    def unread(cls, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Options that a run of these (checked) settings does not read, and what they are for."""
        return {}
