"""Names of a package that are loaded when first used, so that one of them does not cost all."""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any


def names_of(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package, for the names that it imports under TYPE_CHECKING only.

    They are said once, as imports, which checkers of types understand; and read from there.
    """
    tree = ast.parse(inspect.getsource(sys.modules[package]))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}

    def get(name: str) -> Any:
        if not homes.get(name, "").startswith(f"{package}."):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get
