"""The web door: Discord's interactions and the desk's health, over HTTP."""
