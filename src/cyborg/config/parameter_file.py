"""Read a params.yaml and tell where each of its keys is, so that messages can name the line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cyborg.common.errors import UserError
from cyborg.common.schema import KeyPath


@dataclass(frozen=True)
class ParameterFile:
    """The content of a params.yaml, with the line of every key.

    marked: mappings and lists as ruamel.yaml returns them. They know their lines.
    """

    path: Path
    marked: dict[Any, Any]

    @classmethod
    def read(cls, path: Path) -> ParameterFile:
        """Read a file. Raises UserError if it is missing, is not YAML or holds no keys."""
        try:
            marked = YAML().load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                "there is no such file",
                location=path,
                hint="run the command in the project folder, or give --params",
            ) from None
        except (YAMLError, UnicodeDecodeError) as error:
            raise _describe_yaml_error(error, path) from None
        if not isinstance(marked, dict):
            raise UserError("holds no keys", location=path, hint="see params.yaml of this project")
        return cls(path, marked)

    def values(self) -> dict[str, Any]:
        """Return the content as plain dictionaries and lists, with all keys as text."""
        return {str(key): _strip_marks(value) for key, value in self.marked.items()}

    def find_line(self, key: KeyPath) -> int | None:
        """Return the line of a key, counted from one, or of its nearest parent in the file."""
        line, place = None, self.marked
        for part in key:
            try:
                marks = place.lc  # type: ignore[attr-defined]  # ruamel.yaml's line numbers
                position = marks.key(part) if isinstance(part, str) else marks.item(part)
                line, place = position[0] + 1, place[part]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
        return line

    def locate(self, *key: str | int) -> str:
        """Return file, line and key as messages name them, such as `params.yaml:7: seeds`."""
        line = self.find_line(key)
        name = ".".join(str(part) for part in key)
        return f"{self.path}:{line}: {name}" if line else f"{self.path}: {name}"


def _describe_yaml_error(error: YAMLError | UnicodeDecodeError, path: Path) -> UserError:
    """Return a message that names the line of a file that is not YAML, and the reason."""
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return UserError(f"is not valid YAML: {error}", location=path)
    location = f"{path}:{error.problem_mark.line + 1}"
    if isinstance(error, DuplicateKeyError):
        # The parser's text repeats both values. Its key is the first word in quotation marks.
        _, key, *_ = f'{error.problem}""'.split('"')
        return UserError(f"duplicate key `{key}`", location=location, hint="keep one of the two")
    return UserError(
        f"is not valid YAML: {error.problem}",
        location=location,
        hint="check the indentation, colons and quotation marks of this line and the one above",
    )


def _strip_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strip_marks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strip_marks(item) for item in value]
    return value
