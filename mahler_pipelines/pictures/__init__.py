"""From values to PNG: smiles, payoffs, curves."""
