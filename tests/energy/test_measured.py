"""Counters as Linux shows them: read, wrapped around, idle taken off, and missed by name."""

import pytest

from spikereel.energy.measured import Measured, Rapl, counters, measure_joules


@pytest.fixture
def powercap(tmp_path):
    for name, energy in (("intel-rapl:0", 10_000_000), ("intel-rapl:0:0", 5)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name").write_text("package-0\n")
        (folder / "energy_uj").write_text(f"{energy}\n")
        (folder / "max_energy_range_uj").write_text("20000000\n")
    return tmp_path


def spend(powercap, microjoules):
    file = powercap / "intel-rapl:0" / "energy_uj"
    file.write_text(str((int(file.read_text()) + microjoules) % 20_000_000))


def test_packages_only_and_their_joules(powercap):
    found, absent = counters(powercap)
    assert [c.name for c in found] == ["RAPL package-0"]
    assert not any("RAPL" in x for x in absent)
    before = found[0].joules()
    spend(powercap, 1_500_000)
    assert found[0].joules() - before == pytest.approx(1.5)


def test_a_counter_that_wraps_around(powercap):
    counter = Rapl(powercap / "intel-rapl:0")
    before = counter.joules()
    spend(powercap, 15_000_000)
    assert counter.joules() - before == pytest.approx(15.0)


def test_joules_of_a_run(powercap):
    calls = []

    def run():
        calls.append(1)
        spend(powercap, 300_000)

    result = measure_joules(run, seconds=1e-9, idle_seconds=0.01, powercap=powercap)
    assert result.joules == {"RAPL package-0": pytest.approx(0.3)}
    assert result.runs == len(calls) - 1 == 1
    assert result.lines()[0].startswith("measured on this machine by RAPL package-0: 300 mJ a clip above idle (0 W)")


def test_absent_counters_are_said_and_nothing_is_run(tmp_path):
    def run():
        raise AssertionError("nothing to measure with")

    result = measure_joules(run, powercap=tmp_path)
    assert isinstance(result, Measured)
    assert not result.joules
    assert any(line.startswith("not measured: RAPL: no intel-rapl under") for line in result.lines())
    assert any("NVML" in line for line in result.lines())
