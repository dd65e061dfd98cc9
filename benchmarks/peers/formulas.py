"""Published figures in plain NumPy, as their definitions read: what ours are held against where no package has them."""

import numpy as np

IGNORE = 255


def vc_released(found: list[np.ndarray], truth: list[np.ndarray], length: int) -> float:
    """VC of `length` as VC_perclip.py of VSPW's repository counts it, from its description and behaviour.

    Every window of every video but its last one, in one pool: of the pixels whose true label stays (void is a label),
    the share whose predicted label stays.
    """
    shares = []
    for own, true in zip(found, truth, strict=True):
        for start in range(len(true) - length):
            still, alike = ((x[start : start + length] == x[start]).all(0) for x in (true, own))
            shares.append((still & alike).sum() / still.sum())
    return 100.0 * float(np.mean(shares))


def vc_paper(found: list[np.ndarray], truth: list[np.ndarray], length: int) -> float:
    """VC of `length` as the paper defines it (Miao et al. 2021): of the pixels whose true class stays, the share that
    is predicted right throughout; mean over the windows of a video, then over videos that have one."""
    videos = []
    for own, true in zip(found, truth, strict=True):
        if len(true) < length:
            continue
        shares = []
        for start in range(len(true) - length + 1):
            a, b = own[start : start + length], true[start : start + length]
            still = (b == b[0]).all(0) & (b[0] != IGNORE)
            shares.append((still & (a == b).all(0)).sum() / still.sum())
        videos.append(np.mean(shares))
    return 100.0 * float(np.mean(videos))


def similarity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x [J, 3] after the similarity that brings it nearest to y, as VIBE's `compute_similarity_transform` has it."""
    a, b = (x - x.mean(0)).T, (y - y.mean(0)).T
    u, _, vh = np.linalg.svd(a @ b.T)
    z = np.eye(3)
    z[-1, -1] = np.sign(np.linalg.det(u @ vh))
    rotation = vh.T @ z @ u.T
    scale = np.trace(rotation @ a @ b.T) / (a**2).sum()
    return (scale * rotation @ a).T + y.mean(0)


def pose_errors(found: np.ndarray, truth: np.ndarray, hips: tuple[int, ...]) -> dict[str, float]:
    """VIBE-style errors in millimetres of joints [N, J, 3] in metres, in the order of one recording.

    Both pelvis-aligned (the middle of the hips) but for PA-MPJPE; the acceleration is that of all frames in their
    order, mm a frame squared.
    """
    x, y = (z - z[:, list(hips)].mean(1, keepdims=True) for z in (found, truth))
    change = (x[:-2] - 2 * x[1:-1] + x[2:]) - (y[:-2] - 2 * y[1:-1] + y[2:])
    aligned = np.stack([similarity(a, b) for a, b in zip(found, truth, strict=True)])
    return {
        "mpjpe": 1000 * float(np.linalg.norm(x - y, axis=-1).mean()),
        "pa_mpjpe": 1000 * float(np.linalg.norm(aligned - truth, axis=-1).mean()),
        "acceleration": 1000 * float(np.linalg.norm(change, axis=-1).mean()),
    }


def top(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Per cent of rows with the label among the k best scores, of equal ones the first."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return 100.0 * float((best == labels[:, None]).any(1).mean())
