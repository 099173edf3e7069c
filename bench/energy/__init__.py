"""What a run drew: sampled by a process of its own, integrated afterwards from what that process wrote.

    observer = EnergyObserver(board.power_meters, cores_for_frames=arguments.threads)
    observer.start(folder)              # power.json and power.csv appear in the run folder
    observer.idle(5.0)                  # the baseline, before the first frame
    ...                                 # the run
    observer.stop()
    summary = summarise_energy(read_power(folder), starts_ns, ends_ns, paths)

`report` makes the same figures from the same two files: `read_power` gives None for a run without them.
"""

from bench.energy.observer import EnergyObserver
from bench.energy.records import PowerRecord, read_power
from bench.energy.summarise import summarise_energy
from bench.energy.summary import EnergySummary, PathEnergy, RailSummary, energy_to_json

__all__ = [
    "EnergyObserver",
    "EnergySummary",
    "PathEnergy",
    "PowerRecord",
    "RailSummary",
    "energy_to_json",
    "read_power",
    "summarise_energy",
]
