"""The pictures of the README: `python -m tests.screenshots [--store DIR]`.

Runs a study of the embedded models, opens the dashboard over it in Chromium, and writes what the
pages show into docs/screenshots/. A store that is there already is used as it is.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from bakeoff.platform.studies.study import read_study
from tests.chromium import launched
from tests.dashboards.serving import served, wait_until_drawn
from tests.trials import bare_run

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
STUDY = """
name: screenshots
benchmark: {name: shapes, split: held_out, limit: 5}
seeds: [0, 1]
metrics: [composition, clip_score]
baseline: tiny-meissonic/vanilla
traces: true
models:
  - model: tiny-meissonic
    recipes:
      vanilla:
      control: {like: vanilla, seed_offset: 1000}
      fewer-steps: {like: vanilla, steps: 4}
    grid: {like: vanilla, noise: [null, abs_cos(1)], zigzag: [null, masked]}
  - model: tiny-llamagen
    recipes:
      vanilla:
      noise: {like: vanilla, noise: abs_cos(1)}
"""
PICTURES = {  # by page: its address, and how much of it is shown
    "leaderboard": ("", 900),
    "win-rates": ("win-rates", 820),
    "head-to-head": ("head-to-head?place=4", 760),
    "efficiency": ("efficiency", 820),
    "trajectories": ("trajectories", 900),
    "design-choices": ("design-choices", 900),
}
WIDTH = 1280
COLORS = 128  # of a picture in its palette: pages are flat, and the repository stays small


def shoot(page: Page, address: str, name: str) -> Path:
    """Write the picture of one page."""
    place, height = PICTURES[name]
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.goto(f"{address}/{place}")
    wait_until_drawn(page)
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as shot:
        shot.convert("RGB").quantize(COLORS).save(file, optimize=True)
    return file


def main() -> None:
    """Run the study unless its store is there, and write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder) / "store"
        if not store.exists():
            study = read_study(STUDY, source="screenshots", folder=Path(folder))
            bare_run(study, store, batch_size=36)
        with served(store) as address, launched() as browser:
            page = browser.new_context(color_scheme="light").new_page()
            for name in PICTURES:
                file = shoot(page, address, name)
                print(f"{file.relative_to(FOLDER.parents[1])}: {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
