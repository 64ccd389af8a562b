"""What Streamlit runs.

It stands in this folder because of a folder `pages` beside what it runs Streamlit takes every file
for a page of its own, and shows that where a fresh server is first asked for `/arena`.
"""

from bakeoff.dashboards.app import main

main()
