"""Loops over pixels and bits, compiled by Numba on their first call: warps, alignment, Hamming distances."""

# mypy: ignore-errors
# (types are those that Numba infers)

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numba.extending import intrinsic

from plexus.compiled import compiled

LEAST_OVERLAP = 0.45
"""Fraction of the first image that must lie inside the second."""
LARGEST_STEP = 0.12
"""Of a parameter of the affine map in one step: half-sides of the image."""
BLOCK = 256
"""Sketches whose distances are taken together."""


@intrinsic
def _popcount(typingctx: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return nb.types.uint64(nb.types.uint64), generate


@compiled()
def close_sketches(asked, known, first, start, most, own, symmetric, rows, columns):
    """Write pairs of sketches that differ in at most `most` bits; return how many, and the row to go on with.

    `asked` (M, 4) are rows first .. first + M - 1 of the set, `known` (4, N) all of it; or, where not `own`, of another
    set. Of a symmetric search only the later columns count. A row that might not fit into the buffers is left to the
    next call.
    """
    n, count = known.shape[1], 0
    bits = np.empty(BLOCK, np.uint64)
    for i in range(start, len(asked)):
        if count + n > len(rows):
            return count, i
        a0, a1, a2, a3 = asked[i, 0], asked[i, 1], asked[i, 2], asked[i, 3]
        begin = first + i + 1 if symmetric else 0
        for block in range(begin, n, BLOCK):
            stop, fewest = min(BLOCK, n - block), np.uint64(256)
            # parts that are counted from 0: an index that might be below it would need wrapping, and no vector does
            one, two = known[0, block : block + stop], known[1, block : block + stop]
            three, four = known[2, block : block + stop], known[3, block : block + stop]
            for k in range(stop):  # two loops: the first has no branch, and runs on vectors
                bits[k] = (
                    _popcount(one[k] ^ a0) + _popcount(two[k] ^ a1) + _popcount(three[k] ^ a2) + _popcount(four[k] ^ a3)
                )
                fewest = min(fewest, bits[k])
            if fewest > most:
                continue
            for k in range(stop):
                if bits[k] <= most and not (own and block + k == first + i):
                    rows[count] = first + i
                    columns[count] = block + k
                    count += 1
    return count, len(asked)


@compiled(fastmath=True)
def alike(one, two, a, b, least, out):
    """Write for each pair whether the product of its vectors, one[a] and two[b], is at least so large."""
    for t in range(len(a)):
        x, y, product = one[a[t]], two[b[t]], np.float32(0)
        for d in range(len(x)):
            product += x[d] * y[d]
        out[t] = product >= least


@compiled(fastmath=True)
def _sampled(image, v, u):
    """Sample an image between its pixels, bilinearly, and its derivatives by row and column.

    Indices without a sign, which no Python index needs wrapped: so loops over this run on vectors.
    """
    r, c = np.int32(v), np.int32(u)
    fv, fu = v - r, u - c
    row, column, below, beside = np.uint32(r), np.uint32(c), np.uint32(r + 1), np.uint32(c + 1)
    b00, b01, b10, b11 = image[row, column], image[row, beside], image[below, column], image[below, beside]
    upper, lower = b00 + (b01 - b00) * fu, b10 + (b11 - b10) * fu
    return upper + (lower - upper) * fv, lower - upper, (b01 - b00) * (1 - fv) + (b11 - b10) * fv


@compiled(fastmath=True)
def warp(image, pose, out, down, right, inside):
    """Sample an image at an affine map of a grid, bilinearly, with its gradients; return the points that lie inside.

    Coordinates run from -1 to 1 across each image: y' = p0 + p1 y + p2 x, x' = p3 + p4 y + p5 x. Points outside get
    what is nearest.
    """
    m, side, count = out.shape[0], image.shape[0], 0
    half, top = side / 2, side - 1.001
    for i in range(m):
        y = (2 * i + 1) / m - 1
        v0, u0 = (pose[0] + pose[1] * y + 1) * half - 0.5, (pose[3] + pose[4] * y + 1) * half - 0.5
        for j in range(m):
            x = (2 * j + 1) / m - 1
            v, u = v0 + pose[2] * half * x, u0 + pose[5] * half * x
            inside[i, j] = (v >= -0.5) & (u >= -0.5) & (v <= side - 0.5) & (u <= side - 0.5)
            count += inside[i, j]
            value, by_row, by_column = _sampled(image, min(max(v, 0.0), top), min(max(u, 0.0), top))
            out[i, j] = value
            down[i, j] = by_row * half
            right[i, j] = by_column * half
    return count


@compiled(fastmath=True)
def warp_all(images, pose, out):
    """Warp every image by one affine map; 0 outside."""
    m = out.shape[1]
    down, right, inside = np.empty((m, m)), np.empty((m, m)), np.zeros((m, m), np.bool_)
    for t in range(len(images)):
        warp(images[t], pose, out[t], down, right, inside)
        out[t] *= inside


@compiled(fastmath=True)
def _moments(a, w, inside):
    """Count, means, and centred sums of squares and of products, inside."""
    n, sa, sw, saa, sww, saw = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            k = 1.0 if inside[i, j] else 0.0
            x, y = k * a[i, j], k * w[i, j]
            n += k
            sa += x
            sw += y
            saa += x * x
            sww += y * y
            saw += x * y
    k = max(n, 1.0)
    return n, sa / k, sw / k, saa - sa * sa / k, sww - sw * sw / k, saw - sa * sw / k


@compiled(fastmath=True)
def _moments_at(template, image, pose):
    """Count and centred sums of a template and an image at an affine map.

    As `warp` and `_moments` say, in one loop that keeps nothing of what it samples: a third less time for nine guesses.
    """
    m, side = template.shape[0], image.shape[0]
    half, top = side / 2, side - 1.001
    n, sa, sw, saa, sww, saw = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(m):
        y = (2 * i + 1) / m - 1
        v0, u0 = (pose[0] + pose[1] * y + 1) * half - 0.5, (pose[3] + pose[4] * y + 1) * half - 0.5
        for j in range(m):
            x = (2 * j + 1) / m - 1
            v, u = v0 + pose[2] * half * x, u0 + pose[5] * half * x
            k = 1.0 if (v >= -0.5) & (u >= -0.5) & (v <= side - 0.5) & (u <= side - 0.5) else 0.0
            a, w = k * template[i, j], k * _sampled(image, min(max(v, 0.0), top), min(max(u, 0.0), top))[0]
            n += k
            sa += a
            sw += w
            saa += a * a
            sww += w * w
            saw += a * w
    k = max(n, 1.0)
    return n, saa - sa * sa / k, sww - sw * sw / k, saw - sa * sw / k


@compiled(fastmath=True)
def _normal(template, w, down, right, inside, mean, mean_w, gain, h, g):
    """Write the normal equations h x = g of a step of the six parameters, the lower half of h.

    A parameter's derivative is the gradient down or right, times 1, y or z of the point: along a row only z and the
    gradients change, so that thirteen sums of the row give all 27 of h and g.
    """
    m = w.shape[0]
    h[:] = 0
    g[:] = 0
    for i in range(m):
        y = (2 * i + 1) / m - 1
        dd = ddz = ddzz = dr = drz = drzz = rr = rrz = rrzz = de = dez = re = rez = 0.0
        for j in range(m):
            z = (2 * j + 1) / m - 1
            k = 1.0 if inside[i, j] else 0.0
            d, r = k * down[i, j], k * right[i, j]
            error = (template[i, j] - mean) / gain - (w[i, j] - mean_w)
            dz, rz = d * z, r * z
            dd += d * d
            ddz += d * dz
            ddzz += dz * dz
            dr += d * r
            drz += d * rz
            drzz += dz * rz
            rr += r * r
            rrz += r * rz
            rrzz += rz * rz
            de += d * error
            dez += dz * error
            re += r * error
            rez += rz * error
        # rows and columns of h: d, d y, d z, r, r y, r z
        for p, q, value in (
            (0, 0, dd), (1, 0, y * dd), (1, 1, y * y * dd), (2, 0, ddz), (2, 1, y * ddz), (2, 2, ddzz),
            (3, 0, dr), (3, 1, y * dr), (3, 2, drz), (3, 3, rr),
            (4, 0, y * dr), (4, 1, y * y * dr), (4, 2, y * drz), (4, 3, y * rr), (4, 4, y * y * rr),
            (5, 0, drz), (5, 1, y * drz), (5, 2, drzz), (5, 3, rrz), (5, 4, y * rrz), (5, 5, rrzz),
        ):  # fmt: skip
            h[p, q] += value
        for p, value in enumerate((de, y * de, dez, re, y * re, rez)):
            g[p] += value


@compiled(fastmath=True)
def _solve(h, g, x):
    """Solve h x = g for h (6, 6) by Cholesky's factors, in place; False where h is not positive definite."""
    for i in range(6):
        s = h[i, i]
        for k in range(i):
            s -= h[i, k] * h[i, k]
        if s <= 1e-12:
            return False
        h[i, i] = np.sqrt(s)
        for j in range(i + 1, 6):
            t = h[j, i]
            for k in range(i):
                t -= h[j, k] * h[i, k]
            h[j, i] = t / h[i, i]
    for i in range(6):
        s = g[i]
        for k in range(i):
            s -= h[i, k] * x[k]
        x[i] = s / h[i, i]
    for i in range(5, -1, -1):
        s = x[i]
        for k in range(i + 1, 6):
            s -= h[k, i] * x[k]
        x[i] = s / h[i, i]
    return True


@compiled(fastmath=True)
def align(one, two, a, b, poses, moved_by, steps, least, out):
    """Correlation of one[a] with two[b] at the best affine map, by Gauss-Newton steps from `poses`, changed in place.

    The first guess is moved by `moved_by` down or up, right or left, where that fits better. Pairs whose correlation is
    below `least` after two steps are given up.
    Source: enhanced correlation coefficient, Evangelidis and Psarakis, IEEE TPAMI 30 (2008).
    """
    m = one.shape[1]
    w, down, right, inside = np.empty((m, m)), np.empty((m, m)), np.empty((m, m)), np.zeros((m, m), np.bool_)
    h, g, x = np.empty((6, 6)), np.empty(6), np.empty(6)
    pose, kept = np.empty(6), np.empty(6)
    for t in range(len(a)):
        template, moved = one[a[t]], two[b[t]]
        pose[:] = poses[t]
        best = -1.0
        for k in range(9 if moved_by > 0 else 0):
            pose[0], pose[3] = poses[t, 0] + (k // 3 - 1) * moved_by, poses[t, 3] + (k % 3 - 1) * moved_by
            n, saa, sww, saw = _moments_at(template, moved, pose)
            fits = n >= LEAST_OVERLAP * m * m and saa > 1e-6 * n and sww > 1e-6 * n
            if fits and saw > best * np.sqrt(saa * sww):
                best = saw / np.sqrt(saa * sww)
                kept[:] = pose
        if best > -1:
            pose[:] = kept
        kept[:] = pose
        best = -1.0
        for step in range(steps + 1):
            if warp(moved, pose, w, down, right, inside) < LEAST_OVERLAP * m * m:
                break
            n, mean, mean_w, saa, sww, saw = _moments(template, w, inside)
            if saa <= 1e-6 * n or sww <= 1e-6 * n:
                break
            correlation = saw / np.sqrt(saa * sww)
            if correlation > best + 1e-4:
                best = correlation
                kept[:] = pose
            elif step > 0:
                break
            if step == steps or correlation <= 0.05 or (step == 2 and best < least):
                break
            # template ~ w * gain, where the map is right
            _normal(template, w, down, right, inside, mean, mean_w, saa / saw, h, g)
            trace = 0.0
            for p in range(6):
                trace += h[p, p]
            for p in range(6):
                h[p, p] += 1e-3 * trace / 6
            if not _solve(h, g, x):
                break
            for p in range(6):
                pose[p] += min(max(x[p], -LARGEST_STEP), LARGEST_STEP)
        poses[t] = kept
        out[t] = best


@compiled(fastmath=True)
def correlate(one, two, a, b, poses, out):
    """Correlation of one[a] with two[b] at given affine maps, where they overlap."""
    m = one.shape[1]
    w, down, right, inside = np.empty((m, m)), np.empty((m, m)), np.empty((m, m)), np.zeros((m, m), np.bool_)
    for t in range(len(a)):
        count = warp(two[b[t]], poses[t], w, down, right, inside)
        n, _, _, saa, sww, saw = _moments(one[a[t]], w, inside)
        enough = count >= LEAST_OVERLAP * m * m and saa > 1e-6 * n and sww > 1e-6 * n
        out[t] = saw / np.sqrt(saa * sww) if enough else 0.0
