"""How long a route takes: a sum over its gates, fitted to measured routes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.bundle import Bundle
from edge.controllers.constant import Fixed
from edge.controllers.gusodrop import GuSoDrop
from edge.runtime import Runtime

_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class RouteTimes:
    """`fixed_ms` is what every route takes, `gate_ms` (gates,) what each kept block adds, `policy_ms` the decision;
    `worst_misfit` the largest relative error of the sum over the measured routes, `measured` of them."""

    fixed_ms: float
    gate_ms: tuple[float, ...]
    policy_ms: float
    worst_misfit: float
    measured: int

    def expected_ms(self, keep: NDArray[np.float64]) -> float:
        """Mean latency for keep-probabilities (n, gates), without the policy."""
        return float(self.fixed_ms + (keep @ np.array(self.gate_ms)).mean())

    @property
    def full_ms(self) -> float:
        return self.fixed_ms + sum(self.gate_ms)


def measure_routes(bundle: Bundle, threads: int, image: NDArray[np.float32], routes: int = 24) -> RouteTimes:
    """Time the full route, each route without one block, and random ones, in turn, round after round."""
    gates = len(bundle.network.gates)
    random = np.random.default_rng(0)
    single = [[index != gate for index in range(gates)] for gate in range(gates)]
    chosen = np.array([[True] * gates, *single, *(random.random((routes, gates)) < 0.6)])
    backend = OnnxRuntime().open(bundle, threads)
    names = ["".join("01"[kept] for kept in route) for route in chosen.astype(int)]
    runtimes = [Runtime(bundle.network, backend, Fixed(name)) for name in names]
    with_policy = Runtime(bundle.network, backend, GuSoDrop())
    times = np.zeros((_ROUNDS, len(chosen)))
    policy = np.zeros(_ROUNDS)
    for turn in range(_ROUNDS + 3):
        for column in random.permutation(len(chosen)):
            times[turn - 3, column] = runtimes[column].infer(image).timings.inference_ns / 1e6
        timings = with_policy.infer(image).timings
        policy[turn - 3] = (timings.policy_ns + timings.decision_ns) / 1e6
    median = np.median(times, 0)
    columns = np.column_stack((np.ones(len(chosen)), chosen))
    fitted, *_ = np.linalg.lstsq(columns / median[:, None], np.ones(len(chosen)), rcond=None)
    misfit = np.abs(columns @ fitted / median - 1).max()
    backend.close()
    return RouteTimes(
        float(fitted[0]),
        tuple(float(each) for each in fitted[1:]),
        float(np.median(policy)),
        float(misfit),
        len(chosen),
    )
