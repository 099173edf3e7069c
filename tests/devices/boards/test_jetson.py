"""Jetson boards of JetPack 4 to 7, recorded and damaged."""

from __future__ import annotations

import pytest
from boards.trees import says, write

from devices.boards.base import Absence, DeviceClock, ThermalZone, TripPoint
from devices.boards.jetson import Jetson
from devices.boards.machine import Machine
from devices.boards.power import read_meters

ORIN = "jetson-agx-orin-jetpack6"


def _absence(board: Jetson, what: str) -> Absence | None:
    return next((absence for absence in board.absences() if absence.what == what), None)


@pytest.mark.parametrize(
    ("name", "model", "release", "jetpack", "mode"),
    [
        ("jetson-nano-jetpack4", "NVIDIA Jetson Nano Developer Kit", "32.7.1", "4.6.1", "MAXN (0)"),
        ("jetson-agx-xavier-jetpack5", "Jetson-AGX", "35.4.1", "5.1.2", "MODE_15W (2)"),
        (ORIN, "NVIDIA Jetson AGX Orin Developer Kit", "36.4.3", "6.2", "MAXN (0)"),
        (
            "jetson-orin-nano-jetpack6",
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            "36.4.4",
            "6.2.1",
            "MAXN_SUPER (2)",
        ),
        ("jetson-agx-orin-jetpack7", "NVIDIA Jetson AGX Orin Developer Kit", "39.2.0", "7.2", "MODE_30W (2)"),
        ("jetson-agx-thor-jetpack7", "NVIDIA Jetson AGX Thor Developer Kit", "38.2.0", "7.0", "120W (1)"),
    ],
)
def test_a_jetson_says_what_it_is(board, name: str, model: str, release: str, jetpack: str, mode: str) -> None:
    environment = Jetson(board(name)).environment()
    assert (environment.board, environment.l4t_release, environment.jetpack) == (model, release, jetpack)
    assert environment.power_mode == mode


@pytest.mark.parametrize(
    ("name", "rails", "total", "total_mw"),
    [
        (
            "jetson-nano-jetpack4",
            {"POM_5V_IN": 3478, "POM_5V_GPU": 162, "POM_5V_CPU": 1010},
            ("POM_5V_IN",),
            3478,
        ),
        (
            "jetson-agx-xavier-jetpack5",
            {"GPU": 762.88, "CPU": 610.304, "SOC": 1983.488, "CV": 0, "VDDRQ": 457.728, "SYS5V": 1981.952},
            ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
            5796.352,
        ),
        (  # VDDQ_VDD2_1V8AO feeds on VIN_SYS_5V0 and must not count twice; shunts, sums and NC are no rails.
            ORIN,
            {"VDD_GPU_SOC": 2467.84, "VDD_CPU_CV": 250.64, "VIN_SYS_5V0": 3382.16, "VDDQ_VDD2_1V8AO": 565.376},
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
            6100.64,
        ),
        (
            "jetson-orin-nano-jetpack6",
            {"VDD_IN": 4759.72, "VDD_CPU_GPU_CV": 517.504, "VDD_SOC": 1428.112},
            ("VDD_IN",),
            4759.72,
        ),
        (
            "jetson-agx-thor-jetpack7",
            {"VDD_GPU": 7705.6, "VDD_CPU_SOC_MSS": 11558.4, "VIN_SYS_5V0": 8853.12, "VIN": 26686},
            ("VIN",),
            26686,
        ),
    ],
)
def test_rails_and_what_the_whole_board_draws(
    board, name: str, rails: dict[str, float], total: tuple[str, ...], total_mw: float
) -> None:
    (meter,) = Jetson(board(name)).power_meters()
    (reading,) = read_meters((meter,), 0)
    assert dict(zip((rail.name for rail in meter.rails), reading.milliwatts, strict=True)) == pytest.approx(rails)
    assert (meter.total, meter.scope) == (total, "board")
    assert reading.total_milliwatts == pytest.approx(total_mw)
    meter.close()


@pytest.mark.parametrize(
    ("written", "period_s"), [("35", 0.035), ("1", 0.01), ("0", 0.1), ("-7", 0.1), ("x", 0.1), ("99999999", 10.0)]
)
def test_the_chips_say_how_often_they_measure(board, written: str, period_s: float) -> None:
    machine = board("jetson-orin-nano-jetpack6")
    write(machine.root, "sys/class/hwmon/hwmon1/update_interval", written)
    assert Jetson(machine).power_meters()[0].period_s == pytest.approx(period_s)


def test_a_thor_without_its_input_sensor_is_summed(board) -> None:
    machine = board("jetson-agx-thor-jetpack7")
    (machine.root / "sys/class/hwmon/hwmon4/name").unlink()
    assert Jetson(machine).power_meters()[0].total == ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0")


def test_a_carrier_with_other_rails_has_no_total(board) -> None:
    machine = board("jetson-orin-nano-jetpack6")
    write(machine.root, "sys/class/hwmon/hwmon1/in1_label", "VDD_CARRIER")
    jetson = Jetson(machine)
    assert jetson.power_meters()[0].total == ()
    assert _absence(jetson, "power of the whole board") is not None


def test_a_rail_that_talks_nonsense_or_goes_away_takes_only_itself_and_the_total(board) -> None:
    machine = board(ORIN)
    (meter,) = Jetson(machine).power_meters()
    chip = machine.root / "sys/class/hwmon/hwmon1"
    (chip / "curr2_input").write_text("overrun")
    (chip / "in1_input").write_text("4294967295")
    (chip / "curr3_input").unlink()
    (reading,) = read_meters((meter,), 0)
    assert reading.milliwatts == (None, None, None, pytest.approx(565.376))
    assert reading.total_milliwatts is None
    for name, text in (("curr2_input", "13"), ("in1_input", "19280"), ("curr3_input", "670")):
        (chip / name).write_text(text)
    assert read_meters((meter,), 0)[0].total_milliwatts == pytest.approx(6100.64)
    meter.close()


def test_clocks_heat_and_throttling_of_an_orin(board) -> None:
    load = Jetson(board(ORIN)).load()
    assert load.clocks is not None
    assert [(clock.core, clock.pinned) for clock in load.clocks] == [(0, False), (1, False), (10, True)]
    assert load.device_clocks == (
        DeviceClock("17000000.gpu", "nvhost_podgov", 306_000_000, 306_000_000, 1_300_500_000, load=0.347),
        DeviceClock("emc", None, 2_133_000_000, 204_000_000, 3_199_000_000, forced=False),
    )
    assert load.thermal_zones == (
        ThermalZone("cpu-thermal", 45.75, 99.0, (TripPoint("passive", 99.0), TripPoint("critical", 104.5))),
        ThermalZone("cv0-thermal", None, None),
        ThermalZone("tj-thermal", 45.75, None),
    )
    # The fan turns, which slows nothing down.
    assert (load.throttled, load.throttle_events) == (("gpu-throttle-alert",), 52)
    assert (load.swap_total_bytes, load.swap_free_bytes) == (32_175_104 * 1024, 32_175_104 * 1024)


def test_the_memory_is_pinned_when_its_rate_is_held(board) -> None:
    machine = board(ORIN)
    write(machine.root, "sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "1")
    assert (Jetson(machine).load().device_clocks or ())[-1].pinned is True
    nano = (Jetson(board("jetson-nano-jetpack4")).load().device_clocks or ())[-1]
    assert (nano.name, nano.current_hz, nano.pinned) == ("emc", 1_600_000_000, False)


def test_programs_fill_in_what_files_do_not_tell(board) -> None:
    machine = board(ORIN)
    (machine.root / "sys/kernel/debug/bpmp/debug/clk/emc/rate").unlink()
    assert _absence(Jetson(machine), "memory clock (EMC)") is None
    assert len(Jetson(machine).load().device_clocks or ()) == 1
    gpu, memory = Jetson(machine).load(thorough=True).device_clocks or ()
    assert gpu.load == 0.347
    assert memory == DeviceClock("emc", None, 2_133_000_000, 204_000_000, 3_199_000_000, load=0.02, forced=False)
    nano = Jetson(board("jetson-orin-nano-jetpack6")).load(thorough=True)
    assert [clock.load for clock in nano.device_clocks or ()] == [0.63]


def test_without_root_the_memory_clock_is_absent_with_the_reason(board, forbid) -> None:
    machine = board(ORIN)
    forbid("sys/kernel/debug")
    says_root = "Error: can't open /sys/kernel/debug: need root"
    (machine.root.parent / "bin/jetson_clocks").unlink()
    says(machine.root.parent / "bin/jetson_clocks", says_root, status=1)
    jetson = Jetson(machine)
    assert [clock.name for clock in jetson.load(thorough=True).device_clocks or ()] == ["17000000.gpu"]
    assert _absence(jetson, "memory clock (EMC)") == Absence(
        "memory clock (EMC)", "needs root", 'ask as root: sudo "$(command -v edgebench)" devices'
    )


def test_a_mode_that_nobody_tells_is_absent_with_the_reason(board) -> None:
    machine = board("jetson-agx-xavier-jetpack5")
    assert _absence(Jetson(machine), "power mode") is None
    (machine.root / "var/lib/nvpmodel/status").unlink()
    missing = _absence(Jetson(machine), "power mode")
    assert missing is not None
    assert missing.why == "needs the program nvpmodel"
    assert Jetson(machine).environment().power_mode is None
    says(machine.root.parent / "bin/nvpmodel", "NVPM ERROR: failed to set power mode!", "-q", status=255)
    refused = _absence(Jetson(machine), "power mode")
    assert refused is not None
    assert refused.why == "nvpmodel fails (NVPM ERROR: failed to set power mode!)"


def test_the_package_says_the_release_where_the_file_does_not(board) -> None:
    machine = board("jetson-orin-nano-jetpack6")
    (machine.root / "etc/nv_tegra_release").unlink()
    assert Jetson(machine).environment().l4t_release is None
    says(machine.root.parent / "bin/dpkg-query", "36.4.3-20250107174145")
    environment = Jetson(machine).environment()
    assert (environment.l4t_release, environment.jetpack) == ("36.4.3", "6.2")


def test_a_board_without_sensors_says_so(board) -> None:
    machine = board("jetson-nano-jetpack4")
    for label in machine.find("sys/bus/i2c/devices/*/iio:device0/rail_name_*"):
        label.unlink()
    absent = _absence(Jetson(machine), "power rails")
    assert absent is not None
    assert absent.why == "not there, though tegrastats shows some"
    (machine.root.parent / "bin/tegrastats").unlink()
    absent = _absence(Jetson(machine), "power rails")
    assert absent is not None
    assert absent.why == "not there"


@pytest.mark.parametrize("name", ["jetson-nano-jetpack4", ORIN])
def test_sensors_behind_links_are_the_same(board, name: str) -> None:
    """The kernel's classes are folders of links into its tree of devices."""
    machine = board(name)

    def seen() -> tuple[object, ...]:
        jetson = Jetson(machine)
        load = jetson.load()
        readings = read_meters(jetson.power_meters(), 0)
        return load.device_clocks, load.thermal_zones, load.throttled, load.throttle_events, readings[0].milliwatts

    before = seen()
    linked = [
        folder
        for pattern in ("sys/class/*/*", "sys/bus/i2c/devices/*", "sys/devices/system/cpu/cpu[0-9]*/cpufreq")
        for folder in machine.find(pattern)
    ]
    for index, folder in enumerate(linked):
        target = machine.root / f"sys/devices/platform/{index}" / folder.name
        target.parent.mkdir(parents=True)
        folder.rename(target)
        folder.symlink_to(target)
    assert len(linked) > 3
    assert seen() == before


def test_an_empty_tree_is_no_jetson_and_a_bare_one_tells_nothing(tmp_path) -> None:
    assert Jetson.detect(Machine(tmp_path)) is None
    write(tmp_path, "etc/nv_tegra_release", "unreadable nonsense")
    jetson = Jetson.detect(Machine(tmp_path))
    assert jetson is not None
    environment, load = jetson.environment(), jetson.load(thorough=True)
    assert (environment.l4t_release, environment.jetpack, environment.power_mode) == (None, None, None)
    assert (load.device_clocks, load.thermal_zones, load.throttled) == (None, None, None)
    assert jetson.power_meters() == ()
