"""European options: the formulas, and their inverse."""
