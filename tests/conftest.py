"""What every test shares: no network, no GPU needed, a reproducible hypothesis, and the system's Chromium."""

import os

# Before any import that reads them: a test that reaches for the hub fails instead of waiting.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # some tests import onnxruntime before plexus
if not os.path.exists("/dev/nvidia0"):
    os.environ["TRITON_INTERPRET"] = "1"  # GPU kernels run on the CPU, slowly
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores; more threads would wait for each other

import math
import shutil
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

import plexus.progress

pytest.register_assert_rewrite("tests.contract", "tests.contract_drop_in")

# Time limits fail on a busy machine, and a random example that fails today must fail tomorrow.
settings.register_profile("plexus", deadline=None, derandomize=True)
settings.load_profile("plexus")

# A machine so busy that a mistake is told after eight seconds would tell that it is loading before it.
plexus.progress.FIRST = math.inf

# autorank brings Matplotlib, which torchmetrics and Lightning load wherever it is: `make crosscheck` has it apart.
collect_ignore = [] if find_spec("autorank") else ["studies/test_autorank.py"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


def find_browser() -> str:
    """Return the path of Chromium, or fail the test with the remedy."""
    names = (os.environ["PLEXUS_CHROMIUM"],) if os.environ.get("PLEXUS_CHROMIUM") else BROWSERS
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.fail(f"no browser among {', '.join(names)}: run 'make browser' or set PLEXUS_CHROMIUM")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Launch the system's Chromium, with nothing that looks up a host."""
    return {**browser_type_launch_args, "executable_path": find_browser(), "args": list(BROWSER_FLAGS)}
