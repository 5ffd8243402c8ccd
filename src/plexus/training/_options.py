"""Options of a run: declared once, for Python, YAML, the command line and the documentation alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ArgsKwargs, ErrorDetails

from plexus.errors import ConfigError, short
from plexus.record import read_file

Panel = Literal["data", "network", "wiring", "training", "hardware", "output"]
SEEDS = 2**63 - 1
"""The largest seed, everywhere: what numpy and torch both take."""


def option(
    value: Any,
    panel: Panel,
    text: str,
    *,
    must: str | None = None,
    needs: Mapping[str, Any] | None = None,
    default: str | None = None,
    **bounds: Any,
) -> Any:
    """Declare an option: the default of a field in a class of options, and all that is said of it.

    Args:
        value: the default.
        panel: where it stands in the help of its verb.
        text: what it is, in a line.
        must: what a value must be, in words, where the type and the bounds do not say it.
        needs: other options and the value that each must have, `...` for any, for this one to have an effect.
        default: the default in words, where the value does not say it.
        bounds: as for pydantic's `Field`: ge, gt, le, lt, min_length, max_length, pattern, strict.

    Returns:
        The field's description, bounds and words.

    Example:
        >>> option(0.01, "training", "peak learning rate", gt=0).description
        'peak learning rate'
    """
    words: Any = {"panel": panel, "must": must, "needs": dict(needs or {}), "default": default}
    return Field(value, description=text, json_schema_extra=words, **bounds)


@dataclass(
    frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)
)
class Options:
    """The options that every training has; a base for classes of options that all have defaults.

    A subclass is a `pydantic.dataclasses.dataclass(frozen=True, kw_only=True)`, whose fields have an `option` each; it
    says in `between` what does not go together, and in `idle` what has no effect.

    Raises:
        ConfigError: one or more options out of range, unknown, or of no effect; the message lists all of them.

    Example:
        >>> Options(epochs=0, val=2)
        Traceback (most recent call last):
        plexus.errors.ConfigError: val=2 must be between 0 and 1; epochs=0 must be at least 1
    """

    gone: ClassVar[Mapping[str, str]] = {}
    """Options of earlier versions, each with what took its place; they are no fields."""

    data: str = option("", "data", "the images")
    seed: int = option(0, "training", "seed of the split, the weights, the order and the augmentation", ge=0, le=SEEDS)
    val: float = option(0.15, "data", "share of the training images held out for validation", gt=0, lt=1)
    limit: int | None = option(None, "data", "use at most this many images for training and validation together", ge=2)
    skip_unreadable: bool = option(False, "data", "leave out images that cannot be read, and record each")
    epochs: int = option(20, "training", "passes over the training images", ge=1)
    batch_size: int = option(64, "training", "images in a batch, per process", ge=1)
    lr: float = option(0.01, "training", "peak learning rate (AdamW, one cycle)", gt=0)
    weight_decay: float = option(
        0.0005,
        "training",
        "weight decay of all parameters but gates and the weights of unit and spherical neurons",
        ge=0,
    )
    devices: int = option(1, "hardware", "how many devices, as Lightning's Trainer counts them", ge=1)
    strategy: str = option("auto", "hardware", "strategy of Lightning's Trainer for several devices, such as ddp")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = option(
        "32-true", "hardware", "numbers to compute with in training"
    )

    @classmethod
    def between(cls, options: Mapping[str, Any]) -> Iterator[str]:
        """Yield what is wrong between options that are right by themselves, one sentence each.

        Args:
            options: name -> value; those that are wrong by themselves are not among them.
        """
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _told_at_once(cls, values: ArgsKwargs, handler: Callable[[ArgsKwargs], Self]) -> Self:
        """All mistakes in one line; pydantic alone would leave out those between options, and say it in its words."""
        options, config = values.kwargs or {}, None
        wrong: dict[str, str] = {}
        try:
            config = handler(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                name = str(detail["loc"][0])
                wrong.setdefault(name, cls._fault(name, options.get(name), detail))
        right = {name: options.get(name, field.value) for name, field in declared(cls).items() if name not in wrong}
        alone = [wrong[name] for name in sorted(wrong, key=declared(cls).__contains__)]  # unknown names first
        if mistakes := [*alone, *cls.idle(right).values(), *cls.between(right)]:
            raise ConfigError("; ".join(mistakes))
        assert config is not None
        return config

    @classmethod
    def _fault(cls, name: str, value: Any, error: ErrorDetails) -> str:
        """Say what pydantic found as `name=value` and what is allowed."""
        field = declared(cls).get(name)
        if name in cls.gone:
            return f"option {name!r} is gone: {cls.gone[name]}"
        if field is None:
            near = difflib.get_close_matches(name.replace("-", "_"), declared(cls), n=1)
            return f"unknown option {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        shown = f"{name}={short(list(value) if isinstance(value, tuple) else value)}"
        if error["type"] == "literal_error":
            return f"{shown} is unknown; choose from {', '.join(map(str, field.choices))}"
        if field.must is not None:
            return f"{shown} must be {field.must}"
        if error["type"].startswith(("greater_than", "less_than")):
            return f"{shown} must be {field.range}"
        kind = error["type"].partition("_")[0]
        return f"{shown} must be {_KINDS.get(kind, error['msg'])}"

    @classmethod
    def idle(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return the options that would have no effect beside the others, each with a sentence that says so.

        Args:
            options: name -> value.
        """
        sentences = {}
        for name, field in declared(cls).items():
            if options.get(name) in (field.value, None):
                continue
            here = f"{name}={options[name]!r}"
            for other, wanted in field.needs.items():
                actual = options.get(other, wanted)
                if wanted is ... and actual is None:
                    sentences[name] = f"{here} needs {other}: {declared(cls)[other].text}"
                elif wanted is None and actual is not None:
                    sentences[name] = f"{here} has no effect beside {other}={actual!r}; leave one of them out"
                elif wanted not in (..., None, actual):
                    rather = "" if actual is None else f", not to {other}={_plain(actual)}"
                    sentences[name] = f"{here} belongs to {other}={_plain(wanted)}{rather}"
        return sentences

    def to_yaml(self, *, ascii_only: bool = False) -> str:
        """Return the options as YAML, in the order of the class.

        Args:
            ascii_only: escape all other letters.
        """
        raw = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=not ascii_only)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, name: str = "config") -> Self:
        """Make the options of names and values, as YAML or the command line give them.

        Args:
            raw: option -> value; text is read where the option is a number, and lists where it has several values.
            name: where they come from, which opens the message.

        Raises:
            ConfigError: unknown names, each with the nearest known one, and options out of range; all in one message.
        """
        try:
            return cls(**cls._read_values(raw))
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the options of a run folder; what an old run had that is gone or had no effect is left out.

        Args:
            path: its config.yaml.

        Raises:
            ConfigError: as for `from_mapping`, or the file cannot be read.
        """
        raw = read_yaml(path)
        values = cls._read_values(raw)
        unused = cls.idle({name: values.get(name, field.value) for name, field in declared(cls).items()})
        return cls.from_mapping({k: v for k, v in raw.items() if k not in unused and k not in cls.gone}, name=str(path))

    @classmethod
    def _read_values(cls, raw: Mapping[str, Any]) -> dict[str, Any]:
        options = declared(cls)
        return {str(k): options[k].read(v) if k in options else v for k, v in raw.items()}


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """The options of a training on images of classes.

    Raises:
        ConfigError: as for `Options`.

    Example:
        >>> ImageOptions(test=0.5).data
        'digits'
    """

    data: str = option(
        "digits", "data", "digits, a folder of class folders, a CSV manifest, parquet files, or a hub id"
    )
    size: int | None = option(None, "data", "resize every image to SIZE x SIZE pixels", ge=1)
    test: float = option(
        0.2, "data", "share of all images held out for the test, where the data has no test split", gt=0, lt=1
    )
    label: str | None = option(None, "data", "the column of the labels, where a table has several")
    group_from: str | None = option(
        None, "data", "regex on the file name; its first group names what stays in one split, such as the patient",
        default="the column group of a manifest",
    )  # fmt: skip


class Declared:
    """An option of a class, as messages, help and documentation need it.

    Args:
        field: what `option` gave, and pydantic completed.

    Example:
        >>> Declared(option(8, "data", "images", ge=2)).range
        'at least 2'
    """

    def __init__(self, field: FieldInfo) -> None:
        words: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
        self.panel: Panel = words["panel"]
        self.must: str | None = words["must"]
        self.needs: dict[str, Any] = words["needs"]
        self.text, self.value = field.description or "", field.default
        self.default = words["default"] or (None if self.value in (None, "") else _plain(self.value))
        parts = list(_parts(field.annotation))
        self.choices = tuple(choice for part in parts if get_origin(part) is Literal for choice in get_args(part))
        self.several = tuple in parts
        self.kinds = frozenset([*map(type, self.choices), *parts])
        bounds = {sign: getattr(m, sign) for m in field.metadata for sign in _SIGNS if hasattr(m, sign)}
        self.range = _RANGES.get(tuple(bounds), "").format(**{k: _plain(v) for k, v in bounds.items()})

    def read(self, value: Any) -> Any:
        """Return a value of YAML or of the command line in the option's own type, where that is plain.

        Args:
            value: such as "1e-3", which YAML takes for text, or False for its `off`; a list where there may be several.
        """
        if value is False and "off" in self.choices:
            return "off"
        if isinstance(value, list | tuple) and self.several:
            return tuple(self.read(one) for one in value)
        for kind in (int, float) if isinstance(value, str) and str not in self.kinds else ():
            if kind in self.kinds:
                with suppress(ValueError):
                    return kind(value)
        return value


def declared(config: type[Options]) -> dict[str, Declared]:
    """Return the options of a class, in order.

    Args:
        config: the class.

    Returns:
        Name -> its panel, text, default, kinds of values and choices.

    Example:
        >>> declared(Options)["precision"].choices
        ('32-true', 'bf16-mixed', '16-mixed')
    """
    if config not in _DECLARED:
        fields: dict[str, FieldInfo] = config.__pydantic_fields__  # type: ignore[attr-defined]
        _DECLARED[config] = {name: Declared(field) for name, field in fields.items()}
    return _DECLARED[config]


_DECLARED: dict[type, dict[str, Declared]] = {}
_SIGNS = ("ge", "gt", "le", "lt")
_RANGES = {
    ("ge",): "at least {ge}",
    ("gt",): "above {gt}",
    ("ge", "le"): "{ge} to {le}",
    ("ge", "lt"): "at least {ge} and below {lt}",
    ("gt", "le"): "above {gt} and at most {le}",
    ("gt", "lt"): "between {gt} and {lt}",
}
_KINDS = {"string": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "finite": "finite"}
"""How pydantic's errors of types begin -> the type in words."""


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that a value may have; of a tuple, itself and those of its members."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType, Annotated, tuple):
        for member in get_args(annotation)[: 1 if origin is Annotated else None]:
            yield from _parts(member)
    yield tuple if origin is tuple else annotation


def _plain(value: Any) -> str:
    """A value as the command line has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_count(text: str) -> int:
    """Read a whole number, perhaps in thousands or millions.

    Args:
        text: such as 64, 200k or 1.5M.

    Raises:
        ValueError: it is none.

    Example:
        >>> read_count("200k"), read_count("1.5M"), read_count("64")
        (200000, 1500000, 64)
    """
    factor = {"k": 10**3, "m": 10**6}.get(text[-1:].lower(), 1)
    value = float(text[:-1] if factor > 1 else text) * factor
    if not value.is_integer():
        raise ValueError(f"{text!r} is no whole number")
    return int(value)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file that holds option: value lines.

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
        raw = yaml.safe_load(read_file(path, most=2**20).decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not UTF-8; a number without end; lists in lists
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected lines of option: value")
    return raw
