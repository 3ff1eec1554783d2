"""The log of a run, for programs and for people."""

from __future__ import annotations

from esg.training.run_log import measurement_line, step_line


def test_a_line_of_the_log_names_the_terms_that_a_step_has() -> None:
    row = {"step": 20, "lr": 1e-3, "loss": 2.0, "answer": 2.0, "grad_norm": 1.0, "seconds": 36.0}
    expected = "step 20/120 loss 2.00 (answer 2.00) lr 1.0e-03 36.00 s/step, 1.0 h left"
    assert step_line(row, 120) == expected
    assert "(answer 2.00 mask_ce 0.50)" in step_line({**row, "mask_ce": 0.5}, 120)


def test_a_line_about_a_measurement_has_its_figures_in_percent() -> None:
    assert measurement_line({"step": 100, "AP_io": 0.123, "AP50_io": 0.5}) == (
        "Step 100, averaged weights: AP_io 12.3, AP50_io 50.0"
    )
