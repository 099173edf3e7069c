from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.boards import procfs
from devices.boards.base import CoreClock, CoreTime, Load, ThermalZone, TripPoint, share_of_other_processes
from devices.boards.linux import read_environment, read_load

# Recorded on a Firecracker virtual machine with two cores, cut down to what is read.
X86_VM = {
    "proc/cpuinfo": (
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Processor\n"
        "flags\t\t: fpu vme sse4_2 x2apic hypervisor lahf_lm\n\nprocessor\t: 1\n"
        "model name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu vme sse4_2 x2apic hypervisor lahf_lm\n"
    ),
    "proc/meminfo": "MemTotal:       24684092 kB\nMemFree:        19003244 kB\nMemAvailable:   22344532 kB\n",
    "proc/stat": (
        "cpu  106035 1352 7520 104552 348 0 137 11942 0 0\n"
        "cpu0 52620 942 3912 52483 92 0 25 5874 0 0\n"
        "cpu1 53415 410 3608 52068 255 0 111 6068 0 0\n"
        "intr 1 2 3\nctxt 12345\n"
    ),
    "proc/loadavg": "2.36 1.81 1.02 10/117 5988\n",
    "proc/self/stat": (
        "5988 (a (b) c) R 5967 5967 3774 0 -1 4194304 102 0 0 0 250 50 0 0 20 0 1 0 114908 3133440 409 1844674407\n"
    ),
    "proc/self/status": "Name:\tpython\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0\n",
    "proc/sys/kernel/osrelease": "6.18.44\n",
    "proc/vmstat": "nr_free_pages 5\npswpin 12\npswpout 34\npswpoutx 1\n",
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n',
    "sys/devices/system/cpu/present": "0-1\n",
    "sys/devices/system/cpu/online": "0-1\n",
    ".dockerenv": "",
}

# Put together after the device tree, the kernel sources and NVIDIA's documentation: six cores, two of them off.
ORIN_NANO = {
    "proc/cpuinfo": "".join(
        f"processor\t: {core}\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n\n"
        for core in range(4)
    ),
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
    "proc/self/status": "Cpus_allowed_list:\t0-3\n",
    "sys/devices/system/cpu/present": "0-5\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1190400\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "729600\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1728000\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_min_freq": "1728000\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_max_freq": "1728000\n",
    "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor": "schedutil\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48375\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "104500\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "99000\n",
    "sys/class/thermal/thermal_zone10/type": "tj-thermal\n",
    "sys/class/thermal/thermal_zone10/temp": "49000\n",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",
    "sys/class/thermal/thermal_zone2/temp": "-256000\n",
    "sys/class/hwmon/hwmon1/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon1/oc3_event_cnt": "7\n",
}

# Put together after the kernel's documentation.
RASPBERRY_PI = {
    "proc/cpuinfo": (
        "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
        "Revision\t: c03115\nModel\t\t: Raspberry Pi 4 Model B Rev 1.5\n"
    ),
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
    "proc/self/status": "Cpus_allowed_list:\t0,2-3\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "<unknown>\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "52094\n",
}


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_a_virtual_machine_is_described(tmp_path: Path) -> None:
    environment = read_environment(_tree(tmp_path, X86_VM))
    assert environment.cpu_model == "Intel(R) Xeon(R) Processor"
    assert environment.cores_present == environment.cores_online == environment.cores_usable == (0, 1)
    assert environment.memory_bytes == 24684092 * 1024
    assert environment.kernel == "6.18.44"
    assert environment.operating_system == "Debian GNU/Linux 12 (bookworm)"
    assert (environment.virtual_machine, environment.container) == ("a hypervisor", "docker")
    assert (environment.board, environment.l4t_release) == (None, None)
    assert "numpy" in environment.packages


def test_the_load_of_a_virtual_machine_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    load = read_load(_tree(tmp_path, X86_VM))
    assert load.cores is not None
    assert [time.core for time in load.cores] == [0, 1]
    # user + nice + system + irq + softirq + steal; idle + iowait.
    assert load.cores[0].busy == pytest.approx(526.20 + 9.42 + 39.12 + 0 + 0.25 + 58.74)
    assert load.cores[0].idle == pytest.approx(524.83 + 0.92)
    assert load.cores[0].steal == 58.74
    assert load.own_cpu_seconds == 3.0
    assert load.load_average == (2.36, 1.81, 1.02)
    assert (load.swapped_in_pages, load.swapped_out_pages) == (12, 34)
    assert load.memory_available_bytes == 22344532 * 1024
    assert (load.clocks, load.thermal_zones, load.throttle_events) == (None, None, None)


def test_a_jetson_is_described(tmp_path: Path) -> None:
    environment = read_environment(_tree(tmp_path, ORIN_NANO))
    assert environment.board == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert environment.l4t_release == "36.4.3"
    assert environment.cpu_model == "Cortex-A78AE"
    assert environment.cores_present == (0, 1, 2, 3, 4, 5)
    assert environment.cores_online == (0, 1, 2, 3)
    assert (environment.virtual_machine, environment.container) == (None, None)


def test_the_clocks_and_heat_of_a_jetson_are_read(tmp_path: Path) -> None:
    load = read_load(_tree(tmp_path, ORIN_NANO))
    assert load.clocks == (
        CoreClock(0, "schedutil", 1190400, 729600, 1728000),
        CoreClock(2, "schedutil", None, None, None),
        CoreClock(10, "performance", None, 1728000, 1728000),
    )
    assert [clock.pinned for clock in load.clocks] == [False, None, True]
    assert load.thermal_zones == (
        ThermalZone("cpu-thermal", 48.375, 99.0, (TripPoint("critical", 104.5), TripPoint("passive", 99.0))),
        ThermalZone("cv0-thermal", None, None),
        ThermalZone("tj-thermal", 49.0, None),
    )
    assert load.throttle_events == 7


def test_a_raspberry_pi_is_read(tmp_path: Path) -> None:
    root = _tree(tmp_path, RASPBERRY_PI)
    environment, load = read_environment(root), read_load(root)
    assert (environment.board, environment.cpu_model) == ("Raspberry Pi 4 Model B Rev 1.5", "Cortex-A72")
    assert environment.cores_usable == (0, 2, 3)
    assert load.clocks == (CoreClock(0, "ondemand", None, None, None),)
    assert load.thermal_zones == (ThermalZone("cpu-thermal", 52.094, None),)


def test_x86_counts_the_throttling_of_each_core_once(tmp_path: Path) -> None:
    for core in (0, 1):
        folder = f"sys/devices/system/cpu/cpu{core}/thermal_throttle"
        _tree(tmp_path, {f"{folder}/core_throttle_count": "2\n", f"{folder}/package_throttle_count": "9\n"})
    assert read_load(tmp_path).throttle_events == 4


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    load, environment = read_load(tmp_path), read_environment(tmp_path)
    assert {name for name in Load.__slots__ if getattr(load, name) is not None} == {"monotonic_ns"}
    assert {name for name in environment.__slots__ if getattr(environment, name) is not None} == {
        "architecture",
        "python",
        "packages",
    }


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the kernel here is not Linux")
def test_this_machine_tells_the_same_as_python() -> None:
    load, environment = read_load(), read_environment()
    assert load.cores_usable == tuple(sorted(os.sched_getaffinity(0)))
    assert load.cores is not None
    assert {time.core for time in load.cores} >= set(load.cores_usable)
    assert environment.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert environment.kernel == os.uname().release


@pytest.mark.parametrize("text", ["", "Cortex", "1-2-3", "-1", "0-3;5", "cpu0"])
def test_a_list_of_cores_that_is_none(text: str) -> None:
    assert procfs.parse_core_list(text) is None


@given(st.sets(st.integers(0, 200), min_size=1))
def test_core_lists_are_read_back(cores: set[int]) -> None:
    ranges: list[list[int]] = []
    for core in sorted(cores):
        if ranges and ranges[-1][1] == core - 1:
            ranges[-1][1] = core
        else:
            ranges.append([core, core])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    assert procfs.parse_core_list(text + "\n") == tuple(sorted(cores))


@given(st.text())
def test_parsers_take_any_text(text: str) -> None:
    procfs.parse_cpu_model(text)
    procfs.parse_core_times(text, 100)
    procfs.parse_load_average(text)
    procfs.parse_celsius(text)
    procfs.parse_own_cpu_seconds(text, 100)
    procfs.parse_l4t_release(text)
    procfs.parse_allowed_cores(f"Cpus_allowed_list:\t{text}")


@pytest.mark.parametrize("millidegrees", ["-256000", "2147483647", "99999999999999999999", "nan", "48.3", "", "-"])
def test_a_temperature_that_cannot_be_is_none(millidegrees: str) -> None:
    assert procfs.parse_celsius(millidegrees) is None


def test_mixed_and_unknown_cores_are_named() -> None:
    cpuinfo = "".join(
        f"CPU implementer\t: {implementer}\nCPU part\t: {part}\n"
        for implementer, part in (("0x41", "0xd03"), ("0x41", "0xd03"), ("0x41", "0xd08"), ("0x99", "0x001"))
    )
    assert procfs.parse_cpu_model(cpuinfo) == "Cortex-A53 + Cortex-A72 + implementer 0x99 part 0x001"


def _load(seconds: float, busy: list[float], own: float | None, usable: tuple[int, ...] | None = (0, 1)) -> Load:
    cores = tuple(CoreTime(core, time, 0.0, 0.0) for core, time in enumerate(busy))
    return Load(round(seconds * 1e9), usable, cores, own, None, None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        # Of 2 cores x 10 s, 12 s were busy and 9 s of them ours.
        (_load(10, [108, 204], 9), 3 / 20),
        # The third core is not ours to use.
        (_load(10, [108, 204, 400], 9), 3 / 20),
        (_load(10, [108, 204], 9, usable=(0,)), 0.0),
        (_load(10, [110, 210], 0), 1.0),
        (_load(10, [108, 204], 12.1), 0.0),
        (_load(0.4, [108, 204], 9), None),
        (_load(10, [108, 204], None), None),
        (_load(10, [108, 204], 9, usable=None), None),
        (_load(10, [], 9), None),
    ],
)
def test_what_others_took_is_the_rest(after: Load, share: float | None) -> None:
    assert share_of_other_processes(_load(0, [100, 200, 300], 0), after) == (
        None if share is None else pytest.approx(share)
    )
