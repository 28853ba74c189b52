"""YAML by PyYAML's reader in C, ten times faster than the other; both build plain values only."""

from typing import Any

import yaml


def read_yaml(text: str | bytes) -> Any:
    """The document as plain values."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
