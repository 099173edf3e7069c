"""What a frame of each version draws: told apart as paths are, by stretches of the run whose mixes differ."""

from __future__ import annotations

from bench.energy import EnergySummary, PowerRecord, summarise_energy
from bench.frames import MISSING, FrameTable
from bench.summary import Estimate, Finding


def energy_by_twin(
    frames: FrameTable, model: str, power: PowerRecord | None, energy: EnergySummary | None, *, alone: bool
) -> tuple[dict[str, Estimate], tuple[Finding, ...]]:
    """Millijoules of a frame by version, and why they are missing where the board measures them.

    `energy` is that of the whole run; `alone` is whether no other network took turns with the model.
    """
    rows = frames.of_network(model)
    twins = frames.texts("twin")
    kinds = {twins.values[code] for code in set(twins.codes[rows].tolist())} - {None}
    if power is None or not power.meters or not kinds:
        return {}, ()
    if not alone:
        return {}, (_missing("other networks took turns with the model", "measure it by itself: --alone"),)
    if energy is None or energy.energy_mj is None:
        return {}, ()
    starts = frames.began_ns[rows]
    answered = (frames.integers("predicted")[rows] != MISSING).tolist()
    names = [(twins[row] or "") if known else "" for row, known in zip(rows.tolist(), answered, strict=True)]
    by_twin = summarise_energy(power, starts, starts + frames.work_ns[rows], names)
    told = {each.path: each.energy_mj for each in by_twin.paths}
    if kinds - set(told):
        advice = "show many frames of one version in a row: --source 'recorded://FILE?block=500'"
        return told, (_missing("the versions alternate too fast for the sensors", advice),)
    return told, ()


def _missing(evidence: str, advice: str) -> Finding:
    return Finding("energy by version: not known", evidence, advice, "note")
