"""Components are those of the graph of pairs; a chain of likenesses is flagged, and its ends are far apart."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from plexus.audit import clusters, fingerprint, near_duplicates
from plexus.audit._clusters import components


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_the_graph(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 30, (2, 14))
    graph = nx.Graph()
    graph.add_nodes_from(range(30))
    graph.add_edges_from(zip(a.tolist(), b.tolist(), strict=True))
    found = components(30, a, b)
    expected = {frozenset(part) for part in nx.connected_components(graph)}
    assert {frozenset(np.flatnonzero(found == k).tolist()) for k in np.unique(found)} == expected
    firsts = [int(np.flatnonzero(found == k)[0]) for k in range(found.max() + 1)]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize(("frames", "flagged"), [(50, False), (51, True), (120, True)])
def test_a_long_pan_is_one_chain_whose_ends_differ(frames: int, flagged: bool) -> None:
    scene = gaussian_filter(np.random.default_rng(0).standard_normal((72, 96 + 3 * 120)), 2)
    scene = (110 + 40 * scene / scene.std()).clip(0, 255).astype(np.uint8)
    prints = fingerprint([scene[:, 3 * i : 3 * i + 96].copy() for i in range(frames)])
    near = near_duplicates(prints, threshold=0.2)
    (chain,) = clusters(prints, near)
    assert chain.images == tuple(range(frames))
    assert chain.flagged is flagged
    assert chain.diameter > 0.5 > near.distance.max()
