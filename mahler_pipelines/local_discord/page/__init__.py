"""What a person sees of the local Discord."""
