"""Cost models, opponents and break-even rates, each worked out on paper."""

import dataclasses

import pytest
from passports import layer

from spikereel.energy import COSTS, CostModel, Passport, break_even, cost_model, equal_bits, implied_rate, opponents
from spikereel.energy.costs import cost_models
from spikereel.energy.opponents import verdict
from spikereel.errors import ConfigError

STEM = layer("stem", 1e3, (1.0, 1.0), operand="real", analog=True, levels=0, inner_macs=900.0)
CONV = layer(
    "conv",
    4e3,
    (0.1, 0.3),
    inner_macs=3600.0,
    synops=(150.0, 450.0),
    inputs=40.0,
    weights=100,
    neurons=20.0,
    membranes=20.0,
    spike_bits=20.0,
)
TAIL = layer("tail", 2e3, (0.1, 0.3), operand="real", levels=0, merged=True, folded_macs=0.0, fused_macs=0.0)


def passport(*layers, **fields) -> Passport:
    return Passport(clip=(2, 3, 8, 8), clips=1, layers=layers, firing={}, **fields)


def pj(split) -> dict[str, float]:
    return {part: sum(x) for part, x in split.items() if any(x)}


def test_layers_on_spikes():
    assert pj(COSTS["paper"].snn_pj(CONV)) == {"ac": pytest.approx(0.9 * 0.2 * 4e3)}
    assert COSTS["paper"].snn_pj(CONV)["ac"] == pytest.approx([0.9 * 0.1 * 2e3, 0.9 * 0.3 * 2e3])
    assert COSTS["executed"].snn_pj(CONV)["ac"] == pytest.approx([0.9 * 150, 0.9 * 450])
    assert pj(COSTS["int8"].snn_pj(CONV)) == {"ac": pytest.approx(0.1 * 600)}
    assert pj(COSTS["fp16"].snn_pj(CONV)) == {"ac": pytest.approx(0.4 * 600)}
    assert pj(COSTS["paper"].ann_pj(CONV)) == {"mac": pytest.approx(4.6 * 4e3)}
    assert pj(COSTS["executed"].ann_pj(CONV)) == {"mac": pytest.approx(4.6 * 3600)}


def test_exact_counts_that_were_not_made_are_rates_times_dense():
    stated = dataclasses.replace(CONV, synops=None)
    assert pj(COSTS["executed"].snn_pj(stated)) == {"ac": pytest.approx(0.9 * 0.2 * 3600)}


def test_real_operands_are_macs_unless_their_authors_merge_them():
    for cost in ("paper", "executed", "folded"):
        assert "mac" in pj(COSTS[cost].snn_pj(STEM))
    assert pj(COSTS["paper"].snn_pj(TAIL)) == {"ac": pytest.approx(0.9 * 0.2 * 2e3)}
    assert pj(COSTS["executed"].snn_pj(TAIL)) == {"mac": pytest.approx(4.6 * 2e3)}
    assert pj(COSTS["folded"].snn_pj(TAIL)) == {}
    alone = dataclasses.replace(TAIL, merged=False, folded_macs=2e3)
    for cost in ("paper", "folded", "executed"):
        assert pj(COSTS[cost].snn_pj(alone)) == {"mac": pytest.approx(4.6 * 2e3)}


def test_data_movement_by_hand():
    memory, chip = COSTS["memory"], COSTS["memory_onchip"]
    # weights at both time steps, 40 spikes read, 20 written, 20 membranes of 32 bits read and written
    bits = 2 * 100 * 32 + 40 + 20 + 2 * 20 * 32
    assert pj(memory.snn_pj(CONV)) == pytest.approx({"ac": 540, "neurons": 20 * 4.6, "memory": bits * 3.12})
    # all of it fits: weights come once, everything else stays on chip
    moved = 100 * 32 * 3.12 + bits * 100 / 64
    assert pj(chip.snn_pj(CONV))["memory"] == pytest.approx(moved)
    assert pj(memory.ann_pj(CONV)) == pytest.approx({"mac": 4.6 * 3600, "memory": (6400 + 60 * 32) * 3.12})
    tiny = dataclasses.replace(chip, on_chip_bits=600)
    # 3200 bits of weights and 640 of membranes a step do not fit, 30 of spikes do
    assert pj(tiny.snn_pj(CONV))["memory"] == pytest.approx((6400 + 1280) * 3.12 + 60 * 100 / 64)


def test_a_real_operand_is_written_and_read_and_pixels_only_read():
    tail, stem = (dataclasses.replace(x, inputs=10.0) for x in (TAIL, STEM))
    assert pj(COSTS["memory"].snn_pj(tail))["memory"] == pytest.approx(2 * 10 * 32 * 3.12)
    assert pj(COSTS["memory"].snn_pj(stem))["memory"] == pytest.approx(10 * 32 * 3.12)


def test_parts_of_a_clip_and_of_a_decision():
    p = passport(STEM, CONV, TAIL, views=15)
    paper = p.parts_mj()
    assert paper["mac"] == pytest.approx(4.6e3 * 1e-9)
    assert paper["ac"] == pytest.approx((720 + 360) * 1e-9)
    assert paper["total"] == pytest.approx(p.energy_mj()) == pytest.approx(5680e-9)
    assert paper["per_decision"] == pytest.approx(15 * 5680e-9)
    assert paper["per_frame"] == pytest.approx(2840e-9)
    assert paper["ann"] == pytest.approx(4.6 * 7e3 * 1e-9)
    assert paper["ann_over_snn"] == pytest.approx(32200 / 5680)
    for cost in COSTS:
        assert sum(p.energy_per_frame_mj(cost)) == pytest.approx(p.energy_mj(cost)), cost
        assert sum(p.energy_per_frame_mj(cost, ann=True)) == pytest.approx(p.ann_mj(cost)), cost


def test_bits_of_equal_capacity():
    assert [equal_bits(t) for t in (1, 3, 4, 8, 16, 32)] == [1, 2, 3, 4, 5, 6]
    assert equal_bits(4, levels=4) == 5


def test_opponents_are_of_one_cost_model():
    p = passport(STEM, CONV)
    assert [(x.name, x.bits) for x in opponents(p, "paper")] == [("ANN twin", 32)]
    twin, quantised = opponents(p, "int8")
    # 900 + 3600 multiply-accumulates of 8 bits, then of 8 by 2 bits: 0.2 x 2 / 8 + 0.1 pJ
    assert (twin.bits, twin.energy_mj) == (8, pytest.approx(0.3 * 4500e-9))
    assert (quantised.bits, quantised.energy_mj) == (2, pytest.approx(0.15 * 4500e-9))
    snn = (0.3 * 900 + 0.1 * 600) * 1e-9
    assert twin.over_snn == pytest.approx(0.3 * 4500e-9 / snn)
    assert quantised.over_snn == pytest.approx(0.15 * 4500e-9 / snn)


def test_break_even_by_hand():
    assert break_even(CONV, "paper") == pytest.approx(4.6 / 0.9)
    assert break_even(CONV, "int8") == pytest.approx(3.0)
    assert break_even(CONV, "int8", bits=2) == pytest.approx(1.5)
    for no_rate in (STEM, TAIL):
        assert break_even(no_rate, "executed") is None
    memory = COSTS["memory"]
    line = break_even(CONV, memory)
    at = dataclasses.replace(CONV, synops=None, rate=(line, line))
    assert sum(pj(memory.snn_pj(at)).values()) == pytest.approx(sum(pj(memory.ann_pj(at)).values()))
    # membranes alone cost more than the ANN's layer
    heavy = dataclasses.replace(CONV, membranes=1e4, neurons=1e4)
    assert break_even(heavy, memory) < 0


def test_the_verdict_says_where_spikes_lose():
    p = passport(STEM, dataclasses.replace(CONV, membranes=1e4, neurons=1e4))
    lines = verdict(p, cost_models("paper,memory"))
    assert lines[0].startswith("paper: spikes win against the ANN twin of 32 bits")
    assert "0 of 2 layers are above" in lines[0]
    assert "memory: spikes lose" in lines[1]
    assert "1 of 2 layers are above" in lines[1]


def test_implied_rate_gives_back_the_rate():
    p = passport(STEM, dataclasses.replace(CONV, rate=(0.25, 0.25)), dataclasses.replace(TAIL, rate=(0.25, 0.25)))
    assert implied_rate(p, p.energy_mj("paper"), "paper") == pytest.approx(0.25)
    with pytest.raises(ConfigError, match="imply no firing rate"):
        implied_rate(p, 1e-9)


def test_a_cost_model_of_ones_own():
    own = CostModel(title="mine", source="me", multiply_pj=1.0, add_pj=1.0, operations="dense")
    assert passport(CONV).energy_mj(own) == pytest.approx(800e-9)
    assert passport(CONV).to_json({"mine": own})["energy_mj"]["mine"]["total"] == pytest.approx(800e-9)


def test_unknown_names_and_what_every_model_says():
    with pytest.raises(ConfigError, match="did you mean 'executed'"):
        cost_model("execute")
    with pytest.raises(ConfigError, match="cost model"):
        cost_models(",")
    assert list(cost_models("memory, paper")) == ["memory", "paper"]
    for name, model in COSTS.items():
        assert model.source, name
        assert any("left out" in x for x in model.assumptions), name
