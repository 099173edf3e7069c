"""What nvpmodel, jetson_clocks and tegrastats say, of JetPack 4 to 7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.boards.base import DeviceClock
from devices.boards.jetson_programs import (
    PowerMode,
    parse_clocks,
    parse_mode_number,
    parse_power_mode,
    parse_power_modes,
    parse_stats,
)


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", PowerMode("MAXN", 0)),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_15W_6CORE\n2\n", PowerMode("MODE_15W_6CORE", 2)),
        ("NV Fan Mode:quiet\nNV Power Mode: 120W\n1", PowerMode("120W", 1)),
        ("NV Power Mode: MAXN_SUPER\n", PowerMode("MAXN_SUPER", None)),
        ("NV Power Mode: \n0", None),
        ("", None),
    ],
)
def test_power_modes_that_are_set(said: str, mode: PowerMode | None) -> None:
    assert parse_power_mode(said) == mode


def test_power_modes_on_offer() -> None:
    verbose = "NVPM VERB: Config file: /etc/nvpmodel.conf\nPOWER_MODEL: ID=0 NAME=MAXN\nPOWER_MODEL: ID=12 NAME=15W\n"
    written = "# < POWER_MODEL ID=9 NAME=OFF >\n< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n"
    assert parse_power_modes(verbose) == {0: "MAXN", 12: "15W"}
    assert parse_power_modes(written) == {0: "MAXN"}
    assert parse_mode_number("pmode:0012 fmode:quiet") == 12
    assert parse_mode_number("fmode:quiet") is None


def test_clocks_that_jetson_clocks_shows() -> None:
    said = (
        "cpu0: Online=1 Governor=schedutil MinFreq=1479000 MaxFreq=1479000 CurrentFreq=1479000 IdleStates: WFI=0 c7=0\n"
        "GPU MinFreq=921600000 MaxFreq=921600000 CurrentFreq=921600000\n"
        "EMC MinFreq=204000000 MaxFreq=1600000000 CurrentFreq=1600000000 FreqOverride=1\n"
    )
    clocks = parse_clocks(said)
    assert clocks["gpu"] == DeviceClock("gpu", None, 921_600_000, 921_600_000, 921_600_000)
    # The bounds of the memory stay apart when it is held.
    assert clocks["emc"] == DeviceClock("emc", None, 1_600_000_000, 204_000_000, 1_600_000_000, forced=True)
    assert (clocks["gpu"].pinned, clocks["emc"].pinned) == (True, True)
    assert parse_clocks(said.replace("FreqOverride=1", "FreqOverride=0"))["emc"].pinned is False
    assert parse_clocks("Can't access cpufreq\n") == {}


@pytest.mark.parametrize(
    ("line", "gpu", "memory", "rails"),
    [
        (  # AGX Orin, JetPack 5
            "10-03-2025 03:20:36 RAM 1997/62841MB (lfb 68x4MB) SWAP 0/31421MB (cached 0MB) CPU [3%@1574,off] "
            "EMC_FREQ 2%@2133 GR3D_FREQ 0%@[0,0] cpu@45.75C tj@45.75C VDD_GPU_SOC 2468mW/2468mW "
            "VDD_CPU_CV 246mW/246mW VIN_SYS_5V0 3383mW/3383mW",
            0.0,
            0.02,
            {"VDD_GPU_SOC": 2468, "VDD_CPU_CV": 246, "VIN_SYS_5V0": 3383},
        ),
        (  # Nano, JetPack 4: no unit
            "RAM 1276/3956MB (lfb 108x4MB) SWAP 0/1978MB (cached 0MB) IRAM 0/252kB(lfb 252kB) CPU [31%@1479] "
            "EMC_FREQ 14%@1600 GR3D_FREQ 22%@921 APE 25 thermal@22.5C POM_5V_IN 3478/3201 POM_5V_GPU 162/81",
            0.22,
            0.14,
            {"POM_5V_IN": 3478, "POM_5V_GPU": 162},
        ),
        (  # Thor, JetPack 7: three values, no loads
            "07-31-2026 14:45:55 RAM 86905/125772MB (lfb 368x4MB) CPU [12%@972] gpu@39.906C "
            "VDD_GPU 3561mW/3561mW/3561mW VIN 26686mW/26686mW/26686mW",
            None,
            None,
            {"VDD_GPU": 3561, "VIN": 26686},
        ),
        ("", None, None, {}),
    ],
)
def test_lines_of_tegrastats(line: str, gpu: float | None, memory: float | None, rails: dict[str, float]) -> None:
    stats = parse_stats(line)
    assert (stats.gpu_load, stats.memory_load, stats.rails_mw) == (gpu, memory, rails)


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    parse_power_mode(text)
    parse_power_modes(f"POWER_MODEL: ID=1 NAME={text}")
    parse_mode_number(text)
    parse_clocks(f"GPU MinFreq={text}")
    parse_stats(text)
