"""`hinterland domains`: what can be learned in here."""

import json
from collections.abc import Sequence
from typing import Any

from hinterland.cli.arguments import Parser
from hinterland.core.errors import UserError
from hinterland.core.names import printable


def run(arguments: Sequence[str]) -> int:
    """Prints a line for each domain; returns the exit status."""
    parser = Parser(
        prog="hinterland domains",
        description="Installed domains: name, kind, what it is, and the package that it comes "
        "from. 'hinterland train NAME --help' shows a domain's own options.",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, with options and presets")
    options = parser.parse_args(arguments)
    found = _found()
    if options.json:
        print(json.dumps(found))
        return 0
    for one in found:
        came = f"{one['package']} {one['version']}"
        said = one["problem"] or one["summary"] or "it says nothing of itself"
        print(printable(f"{one['name']:<12} {one['kind'] or '-':<9} {said} ({came})"))
    return 0


def _found() -> list[dict[str, Any]]:
    """All that is installed; what is wrong with one hides no other."""
    from hinterland.domains.declared import options_of
    from hinterland.domains.registry import points

    found = []
    for name, point in sorted(points().items()):
        package = point.dist
        one: dict[str, Any] = {
            "name": name,
            "kind": "",
            "summary": "",
            "package": package.name if package else "unknown",
            "version": package.version if package else "unknown",
            "options": {},
            "presets": [],
            "benches": [],
            "problem": None,
        }
        try:
            declared = options_of(name)
        except UserError as error:
            found.append({**one, "problem": str(error)})
            continue
        found.append(
            one
            | {"kind": declared.kind, "summary": declared.summary}
            | {"presets": list(declared.presets), "benches": list(declared.benches)}
            | {"options": {n: field.description for n, field in declared.model_fields.items()}}
        )
    return found
