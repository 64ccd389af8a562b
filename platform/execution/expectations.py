"""What prompts of finished pictures expect: whether the detector knows it, and what it was before.

Scores are not made again where only the expectation changed, so that another one is refused.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import yaml

from bakeoff.platform.execution.picture_folder import METADATA, Picture
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError, shown
from bakeoff.samplers.tiny.grammar import check_expectation

KEY = "expectations"  # of a study's text: hashes by prompt_id


def unknown_to_detector(picture: Picture) -> str | None:
    """Return what is expected of a picture that the detector does not know, in one sentence."""
    try:
        if picture.prompt.expectation is not None:
            check_expectation(picture.prompt.expectation)
    except InputError as error:
        return f"{METADATA}:{picture.line}: {error}"
    return None


def expectation_hashes(pictures: Sequence[Picture]) -> dict[str, str]:
    """Return the hash of what each prompt expects, by prompt_id; of those that expect something."""
    prompts = (one.prompt for one in pictures)
    return {one.prompt_id: _hash(one.expectation) for one in prompts if one.expectation}


def check_expectations(pictures: Sequence[Picture], store: Store) -> None:
    """Check that prompts expect what their stored pictures were judged by.

    Raises:
        InputError: one expects something else.
    """
    lines = {one.prompt.prompt_id: one.line for one in pictures}
    now = expectation_hashes(pictures)
    for text in set(store.read("runs", ["study"])["study"].to_pylist()):
        before = _told(text or "")
        for prompt_id in now.keys() & before.keys():
            if now[prompt_id] != before[prompt_id]:
                raise InputError(
                    f"{METADATA}:{lines[prompt_id]}: prompt {shown(prompt_id)} expects something "
                    "else than what its stored pictures were judged by: name another store"
                )


def _hash(expectation: Mapping[str, Any]) -> str:
    return sha256(json.dumps(expectation, sort_keys=True).encode()).hexdigest()[:16]


def _told(text: str) -> dict[str, Any]:
    """Return the hashes that a stored study's text tells; a stranger's may be anything."""
    try:
        study = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    told = study.get(KEY) if isinstance(study, dict) else None
    return told if isinstance(told, dict) else {}
