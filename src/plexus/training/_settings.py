"""What the configs of all kinds of runs share: they read and write YAML and tell all mistakes at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Self

import yaml

from plexus.errors import ConfigError


class Settings:
    """A base for frozen dataclasses of options that all have defaults.

    A subclass says in `faults` what is wrong with a set of options, and in `read_option` how a value of YAML or of the
    command line is to be read.
    """

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> list[str]:
        """Everything that is wrong, one sentence each."""
        raise NotImplementedError

    @classmethod
    def read_option(cls, key: str, value: Any) -> Any:
        """A value in the option's own type where that is plain."""
        raise NotImplementedError

    def check(self) -> None:
        """Refuses options that are out of range.

        Raises:
            ConfigError: the message lists all of them.
        """
        if wrong := self.faults(asdict(self)):  # type: ignore[call-overload]
            raise ConfigError("; ".join(wrong))

    def to_yaml(self) -> str:
        """The options as YAML, in the order of the class."""
        options: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        raw = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, name: str = "config") -> Self:
        """A config from names and values, as YAML gives them.

        Raises:
            ConfigError: unknown names, each with the nearest known one, and options out of range; all in one message.
        """
        known = {f.name: f.default for f in fields(cls)}  # type: ignore[arg-type]
        given = {key: cls.read_option(key, value) for key, value in raw.items() if key in known}
        strange = [unknown(str(key), list(known)) for key in raw if key not in known]
        if wrong := [*strange, *cls.faults(known | given)]:
            raise ConfigError(f"{name}: {'; '.join(wrong)}")
        return cls(**given)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """A config from a YAML file."""
        return cls.from_mapping(read_yaml(path), name=str(path))


def unknown(key: str, known: list[str]) -> str:
    """What to say of an option that there is not."""
    near = difflib.get_close_matches(key.replace("-", "_"), known, n=1)
    return f"unknown option {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file that holds option: value lines.

    Args:
        path: the file.

    Returns:
        Option -> value, unchecked.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or holds something else than options.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "fit.yaml")
        ...     _ = file.write_text("keep: 0.3\\nepochs: 4\\n")
        ...     read_yaml(file)
        {'keep': 0.3, 'epochs': 4}
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not UTF-8; a number without end; lists in lists
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected lines of option: value")
    return raw
