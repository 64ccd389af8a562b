"""The dashboard's entry: opens the store that BAKEOFF_STORE names and shows its pages."""

import os

import streamlit as st

from bakeoff.dashboards.overview import overview
from bakeoff.platform.views import STORE_VARIABLE, Views, fingerprint, open_views
from bakeoff.samplers.errors import InputError


@st.cache_resource(max_entries=2, show_spinner="Opening the store …")
def _views(path: str, key: str) -> Views:
    return open_views(path)


def main() -> None:
    """Show the pages, or one sentence on what is missing."""
    st.set_page_config(page_title="Bakeoff", layout="wide")
    path = os.environ.get(STORE_VARIABLE)
    if not path:
        st.error(f"No store is named: start with 'bakeoff dashboard STORE' or set {STORE_VARIABLE}")
        return
    try:
        key = fingerprint(path)
        views = _views(path, key)
    except InputError as error:
        st.error("This store cannot be shown.")
        st.text(str(error))
        return
    studies = [row["study"] for row in views.query("studies")]
    if not studies:
        st.title("Bakeoff")
        st.info("The store holds no run yet. Fill it with `bakeoff run --store DIR`.")
        return
    overview(views, f"{path} {key}", studies)


if __name__ == "__main__":
    main()
