"""JSON beside a run: written atomically, and configs as plain values."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections


def plain(config: Any) -> Any:
    """A config as nested dicts, lists and scalars, equal before and after a JSON round trip."""
    if isinstance(config, ml_collections.ConfigDict):
        config = config.to_dict()
    if isinstance(config, Mapping):
        return {str(key): plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config


def hashable(config: Any) -> Any:
    """The same with tuples for lists, as modules and static arguments want their settings."""
    config = plain(config) if isinstance(config, ml_collections.ConfigDict) else config
    if isinstance(config, Mapping):
        return {key: hashable(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return tuple(hashable(value) for value in config)
    return config


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes the whole file or nothing."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, path)
