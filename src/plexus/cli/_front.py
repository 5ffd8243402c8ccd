"""What `plexus` shows when it is given nothing: what it can do, one example of each verb, and where to go next."""

from __future__ import annotations

from plexus import __version__

VERBS = {
    "fit": ("Learn a wiring; keep a plain model.", "plexus fit photos --size 64"),
    "predict": ("Classify images with a run's model.", "plexus predict runs/try cat.jpg"),
    "report": ("Write a run's page again.", "plexus report runs/try"),
    "probe": ("Turn images; see how models hold up.", "plexus probe runs/try digits"),
    "study": ("Run experiments with statistics.", "plexus study run pruning"),
    "claims": ("Say of each claim whether it holds.", "plexus claims --html claims.html"),
    "prune": ("Cut a learned network to another budget.", "plexus prune runs/try --keep 0.1"),
    "audit": ("Find duplicates, contradictions, leaks.", "plexus audit photos"),
    "segment": ("Segment targets that may be absent.", "plexus segment train scans --cv 5"),
    "represent": ("Learn a Z that rebuilds and recognises.", "plexus represent train photos --dim 16"),
    "essay": ("Answer five small questions exactly.", "plexus essay squares 25"),
    "doctor": ("Say what is installed and what is not.", "plexus doctor"),
}
"""Verb -> what it does, in 40 letters or so, and one command line."""


def front() -> str:
    """One screen of 80 columns and 24 rows."""
    width = max(len(example) for _, example in VERBS.values())
    return "\n".join(
        [
            f"plexus {__version__}: learn how a network's layers should be connected,",
            "prune the rest, keep a plain PyTorch model.",
            "",
            *(f"{example:<{width}}  {summary}" for summary, example in VERBS.values()),
            "",
            f"{'plexus fit':<{width}}  Try it: 1,797 digits, about a minute.",
            f"{'plexus VERB --help':<{width}}  All options of a verb.",
            f"{'plexus --install-completion':<{width}}  Let the shell complete what you type.",
        ]
    )
