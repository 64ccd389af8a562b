"""Samples and scores as a folder that Hugging Face `datasets` opens, with pictures as pictures.

Every Parquet file tells in its metadata what `datasets` takes its columns for; the card, README.md,
tells which files belong together.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bakeoff.platform.store.schemas import IMAGE, TABLES
from bakeoff.platform.store.store import Store
from bakeoff.samplers.errors import InputError

HELD = ("samples", "scores", "traces", "profiles", "failures")
NAMES = {"double": "float64", "float": "float32"}  # where Arrow's own name is another
CARD = """---
configs:
{configs}
---

Pictures of text-to-image models and how they were scored, written by Bakeoff.

```python
from datasets import load_dataset

samples = load_dataset("FOLDER", "samples", split="train")
samples[0]["image"]
```

{tables}. A sample's scores are those of the same `sample_id`.
"""


def write_dataset(store: Store, folder: Path) -> None:
    """Write one folder a table, and the card; one part is held in memory at a time.

    Raises:
        InputError: the store has no samples, or a part of it cannot be read.
    """
    if not store.parts("samples"):
        raise InputError(f"store {store.path} has no samples yet to make a dataset of")
    tables = [table for table in HELD if store.parts(table)]
    for table in tables:
        (folder / table).mkdir()
        about = {"huggingface": json.dumps({"info": {"features": _features(TABLES[table])}})}
        for number, part in enumerate(store.parts(table)):
            content = store.read_part(part, TABLES[table].names).replace_schema_metadata(about)
            pq.write_table(content, folder / table / f"{number:05}.parquet", compression="zstd")
    (folder / "README.md").write_text(_card(tables), encoding="utf-8")


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return the columns in the words of `datasets`."""
    return {field.name: _feature(field.type) for field in schema}


def _feature(kind: pa.DataType) -> Mapping[str, Any]:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):  # older versions know no List, and newer ones know a Sequence
        return {"_type": "Sequence", "feature": _feature(kind.value_type)}
    return {"_type": "Value", "dtype": NAMES.get(str(kind), str(kind))}


def _card(tables: Sequence[str]) -> str:
    configs = [f"- config_name: {table}\n  data_files: {table}/*.parquet" for table in tables]
    configs[0] += "\n  default: true"
    return CARD.format(configs="\n".join(configs), tables=f"Tables: {', '.join(tables)}")
