"""The errors a user can meet: one line that names the thing and the remedy.

The command line prints such an error without a traceback and leaves with its ``exit_code``.
"""


class PlexusError(Exception):
    """A mistake the user can mend; its message is one line and says how.

    Example:
        >>> PlexusError("seed must be 0 or more, not -1: pass --seed 0").exit_code
        2
    """

    exit_code: int = 2
    """What the command line returns to the shell: 2 for a user's mistake, 1 for a run that failed."""


class DataError(PlexusError):
    """The images or labels cannot be used as they are: an empty folder, a single class, a broken file.

    Example:
        >>> raise DataError("photos/: no images found: expected photos/CLASS/IMAGE.png")
        Traceback (most recent call last):
        plexus.errors.DataError: photos/: no images found: expected photos/CLASS/IMAGE.png
    """


class ConfigError(PlexusError):
    """An option, a configuration file or an argument is wrong: an unknown key, a value out of range.

    Example:
        >>> raise ConfigError("unknown key 'epoch': did you mean 'epochs'?")
        Traceback (most recent call last):
        plexus.errors.ConfigError: unknown key 'epoch': did you mean 'epochs'?
    """


class RunError(PlexusError):
    """A run folder or a file in it is missing, foreign, broken or already there.

    Example:
        >>> raise RunError("runs/a/record.json: not a run record: expected a JSON object with 'format': 1")
        Traceback (most recent call last):
        plexus.errors.RunError: runs/a/record.json: not a run record: expected a JSON object with 'format': 1
    """


class TrainingError(PlexusError):
    """Training started well and could not go on: the loss became NaN, the disk is full.

    Example:
        >>> TrainingError("the loss became NaN in epoch 3: lower --lr").exit_code
        1
    """

    exit_code = 1


class PlexusWarning(UserWarning):
    """Something a user should know while the work goes on; the command line prints it in one line.

    Example:
        >>> issubclass(PlexusWarning, UserWarning)
        True
    """


def printable(text: str) -> str:
    """Return the text as it is, or escaped where it would break or disguise a line.

    Args:
        text: a name of the user's: of a file, a class, a column.

    Example:
        >>> printable("scan 7.png"), printable("scan\\n7.png")
        ('scan 7.png', "'scan\\\\n7.png'")
    """
    return text if text.isprintable() else ascii(text)


def one_line(text: str) -> str:
    r"""Return text that stays in its line: what cannot be printed, escape sequences of terminals among it, is escaped.

    Args:
        text: whatever is to be shown.

    Example:
        >>> one_line("scan\x1b[31m\n7.png")
        'scan\\x1b[31m\\n7.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def plural(amount: float, thing: str, several: str = "") -> str:
    """Return a count with its noun.

    Args:
        amount: how many, a whole number.
        thing: the noun for one.
        several: the noun for any other number; by default with an s.

    Example:
        >>> plural(1, "epoch"), plural(1_797, "image"), plural(3, "class", "classes")
        ('1 epoch', '1,797 images', '3 classes')
    """
    return f"{amount:,.0f} {thing if amount == 1 else several or thing + 's'}"


def short(value: object, most: int = 60) -> str:
    """Return what a value is in a few words, for a message: never the numbers of an array.

    Args:
        value: whatever a user gave.
        most: letters, at most.

    Example:
        >>> short("cat"), short([1] * 1000)
        ("'cat'", 'a list of 1000')
    """
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    if isinstance(shape, tuple):
        return f"{article} {kind} of shape {tuple(shape)}"
    text = ascii(value) if isinstance(value, str | bytes | int | float | None) else ""
    if isinstance(value, list | tuple | dict | set | frozenset) and len(value) <= 8:
        parts = [short(part, most) for part in value]
        text = repr(value) if all(isinstance(v, str | int | float | None) for v in value) else f"[{', '.join(parts)}]"
    if text and len(text) <= most and text.isprintable():
        return text
    if text and isinstance(value, str | bytes | int | float):
        return f"{text[: most - 3]}..."
    return f"{article} {kind} of {len(value)}" if hasattr(value, "__len__") else f"{article} {kind}"
