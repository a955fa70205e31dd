"""American options on a continuous yield: the boundary, and what it is worth."""
