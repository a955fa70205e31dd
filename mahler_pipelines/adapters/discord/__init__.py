"""Discord: its REST interface, and the gateway that its interactions come by."""
