"""Take a small picture of the top of every page in a folder, beside the page: python scripts/pictures.py FOLDER.

Of fit.html a large one is taken, too: the README's, docs/images/report.png.
"""

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDE, HIGH, SMALL = 1200, 800, 720
"""Window of the browser, and width of the picture, in pixels."""
FRONT, FRONT_HIGH = Path(__file__).parents[1] / "docs" / "images" / "report.png", 1300
"""The README's picture, and how much of the page it shows, in pixels: the networks compared, and what cutting costs."""


def main(folder: Path) -> None:
    """Write NAME.jpg for every NAME.html, and the README's picture of fit.html."""
    browser_path = os.environ.get("PLEXUS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme="light")
        for path in sorted(folder.glob("*.html")):
            page.goto(path.absolute().as_uri())
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.resize((SMALL, SMALL * HIGH // WIDE), Image.Resampling.LANCZOS).save(
                path.with_suffix(".jpg"), quality=80, optimize=True
            )
            if path.name == "fit.html":
                page.set_viewport_size({"width": WIDE, "height": FRONT_HIGH})
                page.screenshot(path=FRONT)
                page.set_viewport_size({"width": WIDE, "height": HIGH})
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
