"""Reads node sources and tells where they use something of rclpy that the real one lacks."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

API: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("rclpy_api.yaml").read_text(encoding="utf-8"))
RETURNS: dict[str, str] = API["returns"]
MODULES = {name: body for name, body in API.items() if name != "returns"}
CLASSES = {name: body for module in MODULES.values() for name, body in module.get("classes", {}).items()}


def names_of(module: str) -> set[str]:
    """All public names of an rclpy module."""
    body = MODULES[module]
    return {*body.get("functions", {}), *body.get("classes", {}), *body.get("constants", [])}


def member(cls: str, name: str) -> Any:
    """The argument list of a method, "attribute", or None where the class and its bases lack the name."""
    body = CLASSES.get(cls)
    if body is None:
        return None
    if name in body.get("methods", {}):
        return body["methods"][name]
    if name in body.get("attributes", []):
        return "attribute"
    return next((found for base in body["bases"] if (found := member(base, name)) is not None), None)


class Sources:
    """Several source files seen as one, so that a base class in one file counts in another."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.trees = {name: ast.parse(text) for name, text in texts.items()}
        self.local: dict[str, ast.ClassDef] = {
            node.name: node for tree in self.trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
        }

    def node_base(self, cls: str) -> bool:
        """Whether a class of ours is a Node."""
        if cls in ("Node", "LifecycleNode"):
            return True
        return cls in self.local and any(self.node_base(ast.unparse(base)) for base in self.local[cls].bases)

    def own_members(self, cls: str) -> set[str]:
        """The methods and attributes that a class of ours, or a base of ours, has itself."""
        if cls not in self.local:
            return set()
        body = self.local[cls]
        found = {item.name for item in ast.walk(body) if isinstance(item, ast.FunctionDef)}
        for item in ast.walk(body):
            if (
                isinstance(item, ast.Attribute)
                and isinstance(item.ctx, ast.Store)
                and ast.unparse(item.value) == "self"
            ):
                found.add(item.attr)
            if isinstance(item, ast.AnnAssign | ast.Assign):
                found |= {target.id for target in _targets(item) if isinstance(target, ast.Name)}
        return found.union(*(self.own_members(ast.unparse(base)) for base in body.bases))

    def complaints(self) -> list[str]:
        """`file:line: what` for each use of something that rclpy lacks."""
        return [text for name, tree in self.trees.items() for text in _File(self, name, tree).complaints()]


def _targets(item: ast.AnnAssign | ast.Assign) -> Iterable[ast.expr]:
    return item.targets if isinstance(item, ast.Assign) else [item.target]


class _File:
    def __init__(self, sources: Sources, name: str, tree: ast.Module) -> None:
        self.sources, self.name, self.tree = sources, name, tree
        self.imports: dict[str, tuple[str, str]] = {}
        self.modules: dict[str, str] = {}
        self.attributes: dict[tuple[str, str], str] = {}

    def complaints(self) -> Iterator[str]:
        yield from self._imports()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in self.modules:
                module = self.modules[ast.unparse(node.value)]
                if node.attr not in names_of(module) and f"{module}.{node.attr}" not in MODULES:
                    yield self._at(node, f"{module} has no {node.attr!r}")
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        for cls in classes:
            self._collect_attributes(cls)
        for statement in self.tree.body:
            own = statement.name if isinstance(statement, ast.ClassDef) else ""
            functions = [node for node in ast.walk(statement) if isinstance(node, ast.FunctionDef)]
            seen: set[int] = set()
            for scope in [*functions, statement]:
                yield from self._scope(scope, own, seen)

    def _at(self, node: Any, text: str) -> str:
        return f"{self.name}:{node.lineno}: {text}"

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    if item.name.partition(".")[0] == "rclpy":
                        if item.name not in MODULES:
                            yield self._at(node, f"rclpy has no module {item.name!r}")
                        self.modules[item.asname or "rclpy"] = item.name if item.asname else "rclpy"
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rclpy":
                module = node.module or ""
                for item in node.names:
                    if module not in MODULES or item.name not in names_of(module):
                        yield self._at(node, f"{module} has no {item.name!r}")
                    self.imports[item.asname or item.name] = (module, item.name)

    def _collect_attributes(self, cls: ast.ClassDef) -> None:
        for node in ast.walk(cls):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
                kind = self._type(node.value, cls.name, {})
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and kind:
                    self.attributes[cls.name, target.attr] = kind

    def _scope(self, scope: ast.AST, own: str, seen: set[int]) -> Iterator[str]:
        """Complaints about one function, with the types of its arguments and variables."""
        names: dict[str, str] = {}
        if isinstance(scope, ast.FunctionDef):
            for argument in scope.args.args:
                if argument.annotation is not None and (kind := self._class(ast.unparse(argument.annotation))):
                    names[argument.arg] = kind
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    names[node.targets[0].id] = self._type(node.value, own, names) or ""
        for node in ast.walk(scope):
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, ast.Attribute):
                yield from self._attribute(node, own, names)
            elif isinstance(node, ast.Call):
                yield from self._call(node, own, names)

    def _class(self, name: str) -> str | None:
        module, original = self.imports.get(name, ("", ""))
        return original if module and original in CLASSES else None

    def _type(self, node: ast.expr, own: str, names: dict[str, str]) -> str | None:
        """The rclpy class of an expression, "own" for self in a node, or None."""
        if isinstance(node, ast.Name):
            return "own" if node.id == "self" and self.sources.node_base(own) else names.get(node.id) or None
        if isinstance(node, ast.Attribute):
            return self.attributes.get((own, node.attr)) if ast.unparse(node.value) == "self" else None
        if not isinstance(node, ast.Call):
            return None
        if isinstance(node.func, ast.Name):
            imported = ".".join(self.imports.get(node.func.id, ("", "")))
            return self._class(node.func.id) or RETURNS.get(imported)
        if isinstance(node.func, ast.Attribute):
            owner = self._type(node.func.value, own, names) or self._class(ast.unparse(node.func.value))
            return RETURNS.get(f"{'Node' if owner == 'own' else owner}.{node.func.attr}")
        return None

    def _attribute(self, node: ast.Attribute, own: str, names: dict[str, str]) -> Iterator[str]:
        owner = self._type(node.value, own, names) or self._class(ast.unparse(node.value))
        if owner == "own":
            if node.attr not in self.sources.own_members(own) and member("LifecycleNode", node.attr) is None:
                yield self._at(node, f"neither {own} nor rclpy's nodes have {node.attr!r}")
        elif owner and not node.attr.startswith("__") and member(owner, node.attr) is None:
            yield self._at(node, f"rclpy's {owner} has no {node.attr!r}")

    def _call(self, node: ast.Call, own: str, names: dict[str, str]) -> Iterator[str]:
        arguments, what = self._arguments(node.func, own, names)
        if arguments is None:
            return
        star = arguments.index("*") if "*" in arguments else len(arguments)
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in arguments:
                yield self._at(node, f"{what} takes no argument {keyword.arg!r}")
        if len(node.args) > star and not any(isinstance(item, ast.Starred) for item in node.args):
            yield self._at(node, f"{what} takes {star} positional arguments, not {len(node.args)}")

    def _arguments(self, function: ast.expr, own: str, names: dict[str, str]) -> tuple[list[str] | None, str]:
        """The arguments that rclpy's function takes; None where it is not rclpy's."""
        text = ast.unparse(function)
        if isinstance(function, ast.Name):
            cls = self._class(text)
            module, original = self.imports.get(text, ("", ""))
            found = member(cls, "__init__") if cls else MODULES.get(module, {}).get("functions", {}).get(original)
            return found, text
        if not isinstance(function, ast.Attribute):
            return None, text
        prefix = ast.unparse(function.value)
        if prefix in self.modules:
            return MODULES[self.modules[prefix]].get("functions", {}).get(function.attr), text
        if text == "super().__init__" and own in self.sources.local:
            bases = [ast.unparse(base) for base in self.sources.local[own].bases]
            rclpys = next((base for base in bases if base in ("Node", "LifecycleNode")), None)
            return (member(rclpys, "__init__"), text) if rclpys else (None, text)
        owner = self._type(function.value, own, names) or self._class(prefix)
        if owner == "own" and function.attr in self.sources.own_members(own):
            return None, text
        found = member("LifecycleNode" if owner == "own" else owner, function.attr) if owner else None
        return (found if isinstance(found, list) else None), text
