"""What a store is told of a run: a row of `runs`, from which readers take the study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bakeoff.platform.execution.deciding import Reach, in_order
from bakeoff.platform.execution.execution import RunStopped
from bakeoff.platform.execution.provenance import new_run_id, run_row
from bakeoff.platform.store.persistence import persistently
from bakeoff.platform.store.store import Store
from bakeoff.platform.store.stored import MetricKey
from bakeoff.platform.studies.rule import Rule
from bakeoff.platform.studies.study import Study

Told = dict[str, Any]


@dataclass
class RunNote:
    """A run's row. It can be written again, as a run until decided asks for more."""

    study: Study
    weights_hashes: Mapping[str, str]  # by model name
    metrics: Sequence[MetricKey]
    batch_size: int
    rule: Rule | None = None
    workers: int = 0
    device: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    run_id: str = ""

    def __post_init__(self) -> None:
        self.run_id = self.run_id or new_run_id(self.started)

    def write(self, store: Store, reach: Reach | None = None) -> None:
        """Write the row; `reach` says how many prompts entries are asked for, if not for all.

        Raises:
            RunStopped: the store cannot be written.
        """
        facts = self._told(reach) | {
            "batch_size": self.batch_size,
            "workers": self.workers,
            "device": self.device,
            "files": self._files(),
        }
        row = run_row(self.started, self.run_id, facts)
        try:
            persistently(lambda: store.write("runs", self.run_id, [row]))
        except OSError as error:
            raise RunStopped(f"the run cannot be noted in the store: {error}") from error

    def is_behind(self, store: Store, reach: Reach | None = None) -> bool:
        """Whether the study's newest run told anything else of it, or asked entries for less.

        Raises:
            InputError: a part of the store cannot be read.
        """
        told = self._reached(store)
        if told is None:
            return True
        return reach is not None and any((told[name] or 0) < far for name, far in reach.items())

    def _reached(self, store: Store) -> Mapping[str, int | None] | None:
        """Return how far the study's newest run asked; None if it told anything else of it."""
        told = self._told(None)
        rows = store.read("runs", ["started", *told]).to_pylist()
        same = [row for row in rows if row["study_name"] == self.study.name]
        if not same:
            return None
        newest = max(same, key=lambda row: row["started"])
        reached = {entry["name"]: entry["prompts"] for entry in newest["entries"]}
        newest["entries"] = [entry | {"prompts": None} for entry in newest["entries"]]
        return reached if all(newest[name] == value for name, value in told.items()) else None

    def _told(self, reach: Reach | None) -> Told:
        """Return what the row says of the study."""
        study, prompts = self.study, self.study.prompts
        entries = [
            {
                "name": entry.name,
                "model": entry.model.name,
                "weights_hash": self.weights_hashes[entry.model.name],
                "dtype": entry.model.dtype,
                "compiled": entry.model.compiled,
                "recipe": str(entry.recipe),
                "recipe_id": entry.recipe.recipe_id,
                "seeds": list(entry.seeds),
                "benchmark": study.benchmark,
                "baseline": entry.baseline,
                "prompts": reach[entry.name] if reach else None,
            }
            for entry in study.entries
        ]
        return {
            "study_name": study.name,
            "study": study.text,
            "entries": entries,
            "metrics": [metric._asdict() for metric in self.metrics],
            "prompts": [
                {"prompt_id": prompt.prompt_id, "prompt": prompt.prompt}
                for prompt in (in_order(study.name, prompts) if self.rule else prompts)
            ],
            "until_decided": self.rule.level if self.rule else None,
            "equivalent": self.rule.equivalent if self.rule else None,
        }

    def _files(self) -> list[tuple[str, str]]:
        """Return the hash of every file of the study's models."""
        models = {entry.model.name: entry.model for entry in self.study.entries}
        return [
            (f"{model.name}/{name}", content)
            for model in models.values()
            for name, content in model.files().items()
        ]
