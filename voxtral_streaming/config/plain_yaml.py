"""YAML as far as a configuration needs it: mappings, lists and plain scalars, within bounds.

Stricter than YAML 1.1 on purpose: no anchors, no aliases, no tags, no duplicate keys, and the
scalars of the YAML 1.2 core schema, so that `no` is a text and not `false`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.events import AliasEvent, NodeEvent, ScalarEvent
from yaml.nodes import MappingNode, Node

MAX_DEPTH = 8
MAX_NODES = 10_000


def parse(text: str) -> Any:
    """Read one YAML document; raises `yaml.YAMLError`."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._n_nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._refuse_extras(event)
        self._n_nodes += 1
        self._depth += 1
        if self._depth > MAX_DEPTH or self._n_nodes > MAX_NODES:
            raise _error("nested too deeply or too long for a configuration", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse_extras(self, event: Any) -> None:
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            raise _error("anchors and aliases are not accepted", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _error("tags are not accepted", event.start_mark)
        if isinstance(event, ScalarEvent) and re.search("[\ud800-\udfff]", event.value):
            raise _error("half of a surrogate pair is not a character", event.start_mark)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _error("a key must be a text", key.start_mark)
            if key.value in seen:
                raise _error(f"the key `{key.value}` stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_CORE_SCHEMA = {
    "null": r"~|null|",
    "bool": r"true|True|false|False",
    "int": r"[-+]?(0|[1-9][0-9]{0,17})",
    "float": r"[-+]?(\d{1,30}\.\d{0,30}|\.\d{1,30}|\d{1,30}(?=[eE]))([eE][-+]?\d{1,3})?|[-+]?\.inf|\.nan",
}
_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1
for _name, _pattern in _CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$", re.ASCII), None)


def place_and_trouble(error: yaml.YAMLError) -> tuple[str, str]:
    """Where a text is wrong, and how; without quoting it, for it may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
    return place, getattr(error, "problem", None) or "a character that YAML does not allow"
