"""Writes docs/api.md from the docstrings of the public names: `make docs`."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hinterland

LINE = 90
"""Characters of a signature in one line."""
PAGE = Path(__file__).with_name("api.md")
HEAD = """\
# Reference of the Python names

Made from the docstrings by `make docs`. [docs/python.md](python.md) shows them at work.
"""


def page() -> str:
    """The whole reference."""
    parts = [HEAD]
    for name in sorted(hinterland.__all__, key=lambda name: (name[0].isupper(), name)):
        parts += entry(f"hinterland.{name}", getattr(hinterland, name))
    return "\n".join(parts)


def entry(name: str, thing: Any) -> Iterator[str]:
    """A heading, a signature, the docstring; of a class its attributes and methods too."""
    if not inspect.isclass(thing):
        yield f"## `{name}`\n"
        yield f"```python\n{signature(name, thing)}\n```\n"
        yield prose(thing)
        return
    yield f"## class `{name}`\n"
    yield prose(thing)
    if name == "hinterland.Config":
        yield "\n".join(settings(thing)) + "\n"
        return
    if (attributes := dict(attributes_of(thing))) and "Attributes:" not in str(thing.__doc__):
        yield "\n".join(f"- `{words}`{said and ': ' + said}" for words, said in attributes.items())
        yield ""
    for method, function in vars(thing).items():
        shown = not method.startswith("_") or method == "__call__"
        if shown and inspect.isfunction(function):
            yield f"```python\n{signature(method, function)}\n```\n"
            yield prose(function)


def signature(name: str, function: Any) -> str:
    """The call as it is written in the source, an argument a line where it is long."""
    node = _source(function)
    assert isinstance(node, ast.FunctionDef)
    given = node.args
    defaults = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
    words = [_argument(*x) for x in zip(given.args, defaults, strict=True) if x[0].arg != "self"]
    if given.kwonlyargs:
        words.append("*")
    words += [_argument(*x) for x in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg is not None:
        words.append(f"**{_argument(given.kwarg, None)}")
    returned = f" -> {_annotation(node.returns)}"
    line = f"{name}({', '.join(words)}){returned}"
    if len(line) <= LINE:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){returned}"


def _source(thing: Any) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    end = f" = {ast.unparse(default)}" if default is not None else ""
    return f"{argument.arg}: {_annotation(argument.annotation)}{end}"


def _annotation(node: ast.expr | None) -> str:
    """Without the quotes of what is only imported for types."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node) if node is not None else ""


def prose(thing: Any) -> str:
    """The docstring, its sections "Args:" and so on as lists."""
    lines: list[str] = []
    section = ""
    for line in inspect.cleandoc(thing.__doc__ or "").splitlines():
        if line and not line.startswith(" "):
            section = ""
        if found := re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            section = found[1]
            lines.append(f"**{section}**\n")
        elif section and (found := re.fullmatch(r"    (\w+): (.*)", line)):
            lines.append(f"- `{found[1]}`: {found[2]}")
        elif section:
            lines.append("  " * (section != "Returns") + line.strip() if line else "")
        else:
            lines.append(line)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def attributes_of(kind: type) -> Iterator[tuple[str, str]]:
    """Annotated attributes, with the text that stands below them."""
    found = _source(kind)
    assert isinstance(found, ast.ClassDef)
    for node, below in zip(found.body, [*found.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        said = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            said = " ".join(str(below.value.value).split())
        yield f"{ast.unparse(node.target)}: {_annotation(node.annotation)}", said


def settings(kind: Any) -> Iterator[str]:
    """A table of the settings of a run."""
    yield "| setting | default | what |\n|---|---|---|"
    for name, field in kind.model_fields.items():
        default = "" if field.is_required() or field.default is None else f"`{field.default!r}`"
        said = " ".join(field.description.split()).replace("|", "/")
        yield f"| `{name}` | {default} | {said} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
