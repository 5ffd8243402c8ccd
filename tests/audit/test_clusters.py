"""Components are those of the graph of pairs; a chain of likenesses is flagged, and its ends are far apart."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from plexus.audit import clusters, fingerprint, near_duplicates


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_the_components_of_the_graph_of_pairs(seed: int) -> None:
    a, b = np.sort(np.random.default_rng(seed).integers(0, 30, (2, 14)), 0)
    a, b = a[a < b], b[a < b]
    prints = fingerprint(list(np.random.default_rng(0).integers(0, 256, (30, 72, 96), dtype=np.uint8)))
    near = replace(near_duplicates(prints), a=a, b=b)
    graph = nx.Graph(zip(a.tolist(), b.tolist(), strict=True))
    made = clusters(prints, near)
    assert {c.images for c in made} == {tuple(sorted(part)) for part in nx.connected_components(graph)}
    assert [(-len(c.images), c.images) for c in made] == sorted((-len(c.images), c.images) for c in made)


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
