"""What a run says in the end: figures with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.timeline import Scope

if TYPE_CHECKING:
    from bench.energy.summary import EnergySummary
    from bench.twins.summary import TwinsSummary


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval, low <= value <= high; `n` is the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Milliseconds; a figure that the number of frames cannot carry is None.

    `max` is the longest that was seen, a fact of the run without an interval: low and high are the value.
    """

    mean: Estimate | None
    p50: Estimate | None
    p90: Estimate | None
    p95: Estimate | None
    p99: Estimate | None
    max: Estimate | None


@dataclass(frozen=True, slots=True)
class PathSummary:
    """Frames that took one path; `share` in [0, 1], `latency_ms` the median of the inference scope."""

    route: str
    exit: int
    count: int
    share: float
    latency_ms: float


# From here on the mean is not that of the exits taken: something else decides what a frame costs.
MOST_MIXTURE_ERROR = 0.03


@dataclass(frozen=True, slots=True)
class ExitFigures:
    """The frames that left at one exit.

    `latency_ms` is their mean inference and `typical_ms` its median; `accuracy` that of the labelled ones.  None where
    there are too few, or none.
    """

    exit: int
    count: int
    share: Estimate
    latency_ms: Estimate | None
    typical_ms: float | None
    accuracy: Estimate | None


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares times typical costs of the exits, in milliseconds, against the mean that was measured.

    `error` is (expected - measured) / measured; beyond `MOST_MIXTURE_ERROR` outliers or something other than the exit
    decides what a frame costs.
    """

    expected_ms: float
    measured_ms: float
    error: float

    @property
    def agrees(self) -> bool:
        return abs(self.error) <= MOST_MIXTURE_ERROR


@dataclass(frozen=True, slots=True)
class ExitsSummary:
    """All exits of a network over a run.

    `mean_exit` counts from 0.  `saved` is 1 - time / time of the whole network without heads, both whole inferences, so
    that heads and decisions are paid for; None where the whole network was not timed.
    """

    exits: tuple[ExitFigures, ...]
    mean_exit: Estimate | None
    saved: Estimate | None
    mixture: Mixture | None


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """One network's part of a run, warm-up excluded; `failed` of its `frames` gave no answer.

    Failed frames have no latency and no path; in `accuracy` and `agreement`, the share of frames on which the answer
    is that of the full network, they count as wrong.  `exits` counts the frames that left at each exit of the
    network.  `kept_blocks` is the mean number of open gates (None without gates); `route_entropy_bits` the plug-in
    entropy of the routes seen over the run.  `by_exit` is None for a network with one exit, or no answer.
    """

    network: str
    frames: int
    failed: int
    latency_ms: dict[Scope, LatencySummary]
    accuracy: Estimate | None
    agreement: Estimate | None
    paths: list[PathSummary]
    exits: list[int]
    gates: int
    kept_blocks: Estimate | None
    route_entropy_bits: float | None
    cold_frames: int
    by_exit: ExitsSummary | None = None


@dataclass(frozen=True, slots=True)
class ArrivalsSummary:
    """Frames that came on their own: arrived = processed + dropped + queued (still waiting at the end).

    `behind` came later than they were due, because the source was not ready.  `utilisation` is the time that a frame
    keeps the network busy over the time between two frames: from 1 on it cannot keep up.  Waits are those in the queue.
    """

    arrived: int
    processed: int
    dropped: int
    queued: int
    behind: int
    a_second: float | None
    utilisation: float | None
    wait_p50_ms: Estimate | None
    wait_p99_ms: Estimate | None


@dataclass(frozen=True, slots=True)
class DeadlineSummary:
    """How answers kept a deadline, counted from the frame's arrival.

    `late` answers came after it; `missed` counts frames without an answer in time: late, failed or dropped.
    `longest_burst` is the most of them in a row.  The slack of an answer is deadline minus latency.
    """

    deadline_ms: float
    late: int
    missed: int
    missed_share: Estimate | None
    longest_burst: int
    slack_p50_ms: Estimate | None
    least_slack_ms: float | None


@dataclass(frozen=True, slots=True)
class HeatSummary:
    """The hottest zone, in °C, over `seconds` of measured frames.

    `steady_after_s` is since when it had settled, at `steady_c` on average; None where it had not, or the run was too
    short to say.
    """

    zone: str
    start_c: float
    end_c: float
    highest_c: float
    steady_after_s: float | None
    steady_c: float | None
    seconds: float


# A warning speaks against the figures; a note is what a reader must know to use them.
Severity = Literal["note", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that bears on the figures: what, the evidence with its threshold, and what to do."""

    what: str
    evidence: str
    advice: str
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the figures may be trusted: no finding is a warning."""

    trusted: bool
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A whole run; `reduction` is 1 - model/baseline of the mean inference latency on the same frames, in [.., 1].

    `arrivals` is None in closed loop, `deadline` where none was set, `heat` and `energy` where nothing was sampled,
    `twins` where frames were not shown beside attacked versions of themselves; beside them, the model's own figures are
    over all versions together.
    """

    model: NetworkSummary
    baseline: NetworkSummary | None
    reduction: Estimate | None
    verdict: Verdict
    complete: bool
    arrivals: ArrivalsSummary | None = None
    deadline: DeadlineSummary | None = None
    heat: HeatSummary | None = None
    energy: EnergySummary | None = None
    twins: TwinsSummary | None = None
