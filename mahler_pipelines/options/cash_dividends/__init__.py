"""American options on cash dividends: backward induction on grids."""
