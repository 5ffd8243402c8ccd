"""The page tests stand on a Chromium that runs scripts and reaches no host."""

from pathlib import Path

import pytest
from playwright.sync_api import Error, Page

pytestmark = pytest.mark.page


def test_a_page_from_disk_runs_its_script(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<p id=a>before</p><script>document.getElementById('a').textContent = 'after'</script>")
    page.goto(path.as_uri())
    assert page.text_content("#a") == "after"


def test_no_host_is_reachable(page: Page) -> None:
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://example.com/")
