"""What goes out to a person and what comes back: delivery, authority, and the one handler."""
