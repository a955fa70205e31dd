"""What a person away from the desk is shown: cards, alerts and summaries, and their buttons."""
