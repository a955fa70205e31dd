"""Performance, counterfactuals, calibration, learning."""
