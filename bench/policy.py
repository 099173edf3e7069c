"""What a decision network does: its keep-probabilities over many frames, by gate and by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.bootstrap import mean_estimate, resampling_generator
from bench.summary import Estimate
from edge.network import Network

# As many frames are named at either end of the scale.
EXTREMES = 5


@dataclass(frozen=True, slots=True)
class ClassPolicy:
    """The frames of one class: mean keep-probability of each gate, and mean route entropy in bits."""

    label: int
    frames: int
    keep: tuple[float, ...]
    entropy_bits: float


@dataclass(frozen=True, slots=True)
class FramePolicy:
    """One frame: its keep-probabilities, and the entropy of its route in bits."""

    name: str
    label: int | None
    keep: tuple[float, ...]
    entropy_bits: float


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """A decision network over frames.

    `keep_mean`, `keep_spread` (standard deviation over frames) and `gate_entropy_bits` are per gate; `entropy_bits` is
    the mean over frames of the entropy of the route given the frame, which for gates drawn independently is the sum of
    the gates'; `saved` the expected share of the network's MACs that is not run, the policy's own already paid.
    """

    frames: int
    keep_mean: tuple[float, ...]
    keep_spread: tuple[float, ...]
    gate_entropy_bits: tuple[float, ...]
    entropy_bits: Estimate | None
    saved: float
    classes: tuple[ClassPolicy, ...]
    most_random: tuple[FramePolicy, ...]
    least_random: tuple[FramePolicy, ...]


def route_entropy_bits(keep: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of independent gates in bits, summed over the last axis of keep-probabilities in [0, 1]."""
    result: NDArray[np.float64] = gate_entropy_bits(keep).sum(-1)
    return result


def gate_entropy_bits(keep: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each gate in bits: -p log2 p - (1 - p) log2 (1 - p), and 0 where it is certain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = -keep * np.log2(keep) - (1 - keep) * np.log2(1 - keep)
    return np.where((keep <= 0) | (keep >= 1), 0.0, terms)


def mac_shares(network: Network) -> tuple[list[float], float]:
    """What dropping each gate's block saves and what the policy costs, as shares of the full network's MACs."""
    route, full = network.full_route, network.macs(network.full_route)
    gates = [1 - network.macs(route[:gate] + "0" + route[gate + 1 :]) / full for gate in range(len(route))]
    return gates, 0.0 if network.policy is None else network.stages[network.policy].macs / full


def summarise_policy(
    keep: NDArray[np.float64],
    names: Sequence[str],
    labels: Sequence[int | None],
    gate_shares: Sequence[float],
    policy_share: float,
) -> PolicySummary:
    """The summary of keep-probabilities (frames, gates).

    `gate_shares` is what dropping each gate's block saves and `policy_share` what the policy costs, both as shares of
    the full network's MACs.

    Raises:
        ValueError: there are no frames.
    """
    if not len(keep):
        raise ValueError("a policy is described from at least one frame")
    entropy = route_entropy_bits(keep)
    order = np.argsort(entropy, kind="stable")

    def frame(index: int) -> FramePolicy:
        return FramePolicy(names[index], labels[index], tuple(keep[index].tolist()), float(entropy[index]))

    classes = []
    for label in sorted({label for label in labels if label is not None}):
        rows = np.array([each == label for each in labels])
        classes.append(
            ClassPolicy(label, int(rows.sum()), tuple(keep[rows].mean(0).tolist()), float(entropy[rows].mean()))
        )
    return PolicySummary(
        frames=len(keep),
        keep_mean=tuple(keep.mean(0).tolist()),
        keep_spread=tuple(keep.std(0).tolist()),
        gate_entropy_bits=tuple(gate_entropy_bits(keep).mean(0).tolist()),
        entropy_bits=mean_estimate(entropy, resampling_generator()),
        saved=float(((1 - keep) @ np.asarray(gate_shares)).mean() - policy_share),
        classes=tuple(classes),
        most_random=tuple(frame(index) for index in order[::-1][:EXTREMES].tolist()),
        least_random=tuple(frame(index) for index in order[:EXTREMES].tolist()),
    )
