"""What the files of a run and of a study hold, one model each, checked as they are read.

The models are strict in what readers use and leave the rest as it is: files of other versions have
more, or less. What a reader cannot do without has no default here.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hinterland.core.errors import UserError
from hinterland.core.names import LONGEST
from hinterland.core.reading import MB
from hinterland.record.metrics import LARGEST

CONFIG_SIZE = MB
"""Bytes of a configuration or a study file."""
JSON_SIZE = 16 * MB
"""Of a manifest or a summary."""
METRICS_SIZE = 1000 * MB
REPLAY_SIZE = 1000 * MB

Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
"""Whole, and exact as a float too."""
Figure = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
Spread = Annotated[float, Field(strict=True, ge=0, le=LARGEST)]
Text = Annotated[str, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, int | str) or (isinstance(value, float) and abs(value) <= LARGEST):
        return value
    raise ValueError("must be a number, a text, true or false")


def _file(value: str) -> str:
    if not value.startswith("/") or not value.endswith(".py") or "\0" in value:
        raise ValueError("must be the whole path of a module's file")
    return value


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= LARGEST


Plain = Annotated[Any, AfterValidator(_plain)]
"""The value of one setting."""


def _setting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return _plain(value)


Setting = Annotated[Any, AfterValidator(_setting)]
"""A setting, or the table of a domain's own."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Settings(_Open):
    """config.toml as far as everybody needs it; `Config` says what each setting may be.

    Runs of before 2026-12 have the domain's own options beside the others.
    """

    __pydantic_extra__: dict[str, Plain]  # ty: ignore[incompatible-mutable-override]

    domain: Text
    agents: Count | None = None
    steps: Count | None = None
    evaluate_episodes: Count | None = None
    simulation: Text | None = None
    domain_options: dict[str, Plain] | None = None


class Commit(_Open):
    """Where a source stood."""

    commit: Text | None = None
    changed: Flag | None = None


class Manifest(_Open):
    """manifest.json."""

    cores: Count | None = None
    devices: list[Text] | None = None
    versions: dict[str, Text] | None = None
    git: Commit | None = None
    domain_file: Annotated[Text, AfterValidator(_file)] | None = None
    domain_object: Flag | None = None
    """Whether the domain was an object of a script, which no name makes again."""
    network_file: Annotated[Text, AfterValidator(_file)] | None = None
    network_object: Flag | None = None
    """Whether the network is made by a function of a script, which no name finds again."""


class Evaluation(_Open):
    """One policy's figures; beside them stand words, such as the policy's name."""

    __pydantic_extra__: dict[str, Plain | None]  # ty: ignore[incompatible-mutable-override]

    return_mean: Figure | None = None
    return_ci95: Spread | None = None
    episodes: Count | None = None
    length: Figure | None = None
    alive: Figure | None = None
    finished: Figure | None = None
    ice: Figure | None = None
    of_a_factory: Figure | None = Field(None, alias="ice/factory")
    factories: Figure | None = Field(None, alias="factories/alive")


class Summary(_Open):
    """summary.json."""

    step: Count | None = None
    wall_s: Figure | None = None
    eval: dict[str, Evaluation | None] | None = None
    shown: list[Text] | None = None
    """Figures that stand beside the return."""
    time: dict[str, Figure | None] | None = None
    memory: dict[str, Figure | None] | None = None
    finished: Flag | None = None


class Measured(_Open):
    """What a finished run knows of its learned policies."""

    return_mean: Figure
    return_ci95: Spread
    episodes: Count
    length: Figure = 0.0

    @model_validator(mode="after")
    def _has_returns(self) -> "Measured":
        for name, value in (self.model_extra or {}).items():
            if name.startswith("return/") and (isinstance(value, bool) or not _is_figure(value)):
                raise ValueError(f"{name} is no number")
        return self


class Learned(_Open):
    """`Summary.eval` of a finished run."""

    __pydantic_extra__: dict[str, Measured]  # ty: ignore[incompatible-mutable-override]

    learned: Measured


class Result(_Open):
    """The summary of a finished run, as it is shown."""

    step: Count
    wall_s: Figure
    agent_steps_per_s: Figure
    eval: Learned
    shown: list[Text] = []
    memory: dict[str, Figure | None]

    @model_validator(mode="after")
    def _has_a_peak(self) -> "Result":
        if self.memory.get("peak_mb") is None:
            raise ValueError("memory has no peak_mb")
        return self


class Line(_Open):
    """One line of metrics.jsonl."""

    __pydantic_extra__: dict[str, Figure | None]  # ty: ignore[incompatible-mutable-override]

    step: Count
    wall_s: Figure | None = None
    phase: Text | None = None


class Spent(_Open):
    """What a run had used up at a checkpoint."""

    wall_s: Figure = 0.0
    time: dict[str, Figure] = {}
    compile_s: Figure = 0.0


class Checkpoint(_Open):
    """A checkpoint's metadata, as `RunFolder.save_checkpoint` completes it."""

    step: Count
    config: dict[str, Setting]
    metrics_lines: Count
    updates: Count | None = None
    spent: Spent | None = None


class Shape(_Open):
    """A rect (w, h), a circle (r) or a text in a picture; lengths in the scene's unit."""

    kind: Text
    x: Figure
    y: Figure
    w: Figure = 0.0
    h: Figure = 0.0
    r: Figure = 0.0
    text: Plain = ""
    fill: Text
    opacity: Annotated[float, Field(strict=True, ge=0, le=1)] = 1.0


class Scene(_Open):
    """The ground of a moving picture."""

    width: Annotated[float, Field(strict=True, gt=0, le=1e6)]
    height: Annotated[float, Field(strict=True, gt=0, le=1e6)]
    shapes: list[Shape] = []


class Moment(_Open):
    """What is said beside one picture."""

    step: Count | None = None
    text: Text | None = None


class Replay(_Open):
    """replay.json."""

    title: Text = ""
    seconds_per_frame: Annotated[float, Field(strict=True, gt=0, le=3600)] = 0.2
    scene: Scene
    frames: Annotated[list[list[Shape]], Field(min_length=1)]
    info: list[Moment] | None = None


def why_no_name(text: str) -> str:
    """Why a text cannot be a folder's name as it is; empty if it can."""
    if not text.isprintable():
        return "has control characters"
    if not text.strip():
        return "is empty"
    if "/" in text or "\\" in text:
        return "has a slash: it is a name, not a path"
    if text[0] in ".-" or text != text.strip():
        return "begins with '.' or '-', or begins or ends with a space"
    if len(text.encode()) > LONGEST:
        return f"has more than {LONGEST} bytes"
    return ""


def _name(text: str) -> str:
    if why := why_no_name(text):
        raise ValueError(f"the name {text[:60]!r} {why}")
    return text


Name = Annotated[str, Field(strict=True), AfterValidator(_name)]
"""Of something that becomes a folder."""
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]


def _unique(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("a seed is there twice")
    return values


class KeptStudy(_Open):
    """A study's study.toml as a report needs it."""

    name: Text | None = None
    title: Text | None = None
    variants: dict[str, dict[str, Setting]] = {}


class Study(_Open):
    """A study file that can be run."""

    name: Name
    title: Text = ""
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_unique)]
    base: Annotated[dict[str, Setting], Field(min_length=1)]
    variants: Annotated[dict[Name, dict[str, Setting]], Field(min_length=1)]


Model = TypeVar("Model", bound=BaseModel)


def why_not(model: type[BaseModel], value: Any) -> str:
    """What is wrong with a value, in words; empty if nothing is."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        said = said[:1].lower() + said[1:]
        return f"{place}: {said}" if place else said
    return ""


def check(model: type[BaseModel], value: Any, path: Path) -> None:
    """Whether a file holds what it should.

    Raises:
        UserError: it does not; the message names the file, the place in it and what is wrong there.
    """
    if why := why_not(model, value):
        raise UserError(f"{path} is damaged: {why}")
