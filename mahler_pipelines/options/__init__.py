"""What an option is and what it is worth."""
