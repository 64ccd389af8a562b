"""Opens a page of the dashboard without a browser, and reads what it drew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from streamlit.proto.VegaLiteChart_pb2 import VegaLiteChart
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from bakeoff.platform.queries.views import STORE_VARIABLE

APP = Path(__file__).parents[2] / "dashboards" / "pages" / "__main__.py"
Visit = Callable[..., AppTest]


def visitor(page: str, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Return what opens a page, by its name in the address ("": the first), of a store given."""

    def visit(store: Path | None, **parameters: Any) -> AppTest:
        if store is None:
            monkeypatch.delenv(STORE_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(STORE_VARIABLE, str(store))
        opened = AppTest.from_file(str(APP), default_timeout=60)
        opened._page_hash = calc_hash(page)  # AppTest itself switches to pages in files only
        for name, value in parameters.items():
            opened.query_params[name] = value
        return opened.run()

    return visit


def unfold(page: AppTest, fold: str) -> pd.DataFrame:
    """Open a fold by its key, and return its table, which was not drawn before."""
    assert not _folded_tables(page)
    page.session_state[fold] = True
    (opened,) = _folded_tables(page.run())
    page.session_state[fold] = False
    return opened


def _folded_tables(page: AppTest) -> list[pd.DataFrame]:
    return [table.value for fold in page.get("expander") for table in fold.get("dataframe")]


def html(page: AppTest) -> str:
    """Return all markup of a page."""
    return "\n".join(element.proto.body for element in page.get("html"))


def charts(page: AppTest) -> list[VegaLiteChart]:
    """Return the charts of a page in order."""
    return [element.proto for element in page.get("vega_lite_chart")]


def rows(chart: VegaLiteChart) -> list[dict[str, Any]]:
    """Return what a chart is drawn from; Streamlit sends it apart from the specification."""
    data = chart.datasets[0].data.data if chart.datasets else chart.data.data
    return pa.ipc.open_stream(data).read_all().to_pylist()
