"""The classes of a class-conditional model, and which of them a prompt names."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Self

from bakeoff.samplers.errors import InputError, shown

FILE = "classes.json"  # a list of names in the order of ids
IMAGENET = 1000  # classes whose names are known without a file
LONGEST = 200  # characters of a name

_BEFORE = re.compile(r"(?:a photo of )?(?:an? )?")
_NUMBERED = re.compile(r"(.*) \((\d{1,9})\)")


class Classes:
    """Names in the order of ids.

    A prompt names a class by its name, in any case and also behind "a", "an" or "a photo of a"; by
    its number; or by both, as "crane (517)", which tells classes apart that share a name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    @classmethod
    def from_folder(cls, folder: str | Path, count: int | None = None) -> Self:
        """Return the `count` classes of a checkpoint by its `classes.json`.

        Without that file 1000 classes are ImageNet's, and others have only numbers. Without `count`
        the classes are as many as the file names, or else taken for ImageNet's.

        Raises:
            InputError: the file cannot be read, or does not hold so many names.
        """
        file = Path(folder) / FILE
        if file.exists():
            return cls(_read_names(file, count))
        if count in (None, IMAGENET):
            return cls(imagenet_names())
        return cls([str(id) for id in range(count)])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The shortest prompt that names each class: its name, with the number where shared."""
        times = Counter(map(_key, self.names))
        return tuple(
            f"{name} ({id})" if times[_key(name)] > 1 else name
            for id, name in enumerate(self.names)
        )

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        """The classes of each name, as it is looked up."""
        ids: dict[str, list[int]] = {}
        for id, name in enumerate(self.names):
            ids.setdefault(_key(name), []).append(id)
        return ids

    def find(self, prompt: str, field: str = "prompt") -> int:
        """Return the id of the class that a prompt names; `field` is its name in errors.

        Raises:
            InputError: it names none, or several.
        """
        whole = _key(prompt)
        for key in (whole, whole[_BEFORE.match(whole).end() :]):  # type: ignore[union-attr]
            found = self._ids.get(key) or self._by_number(key)
            if len(found) > 1:
                spelled = " or ".join(repr(self.labels[id]) for id in found)
                raise InputError(f"{field} {shown(prompt)} names several classes: say {spelled}")
            if found:
                return found[0]
        raise self._unknown(f"{field} {shown(prompt)}", key)

    def _by_number(self, key: str) -> list[int]:
        """Return the class of "517", or of "crane (517)" if that is its name."""
        match = _NUMBERED.fullmatch(key)
        name, digits = match.groups() if match else (None, key)
        if not re.fullmatch(r"[0-9]{1,9}", digits):
            return []
        id = int(digits)
        fits = id < len(self.names) and name in (None, _key(self.names[id]))
        return [id] if fits else []

    def _unknown(self, told: str, key: str) -> InputError:
        numbered = _NUMBERED.fullmatch(key)
        name = numbered[1] if numbered else key
        nearest = get_close_matches(name[:LONGEST], self._ids, n=1)
        hint = (
            f"did you mean {self.labels[self._ids[nearest[0]][0]]!r}?"
            if nearest
            else f"say a name, as {self.labels[0]!r}, or a number from 0 to {len(self.names) - 1}"
        )
        return InputError(f"{told} names none of the model's classes; {hint}")


def imagenet_names() -> list[str]:
    """Return ImageNet's 1000 names in the order of ids, as torchvision tells them."""
    from torchvision.models import ResNet18_Weights  # here, because it takes seconds

    return list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


def _read_names(file: Path, count: int | None) -> list[str]:
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON ({error})") from error
    if not isinstance(names, list):
        raise InputError(f"{file}: must hold a list of class names")
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST:
            raise InputError(
                f"{file}: class names must be texts of 1 to {LONGEST} characters, got {shown(name)}"
            )
    if count not in (None, len(names)):
        raise InputError(f"{file}: must name {count} classes as the model has, got {len(names)}")
    return names
