"""A local Discord: REST, the gateway, signed interactions and a page, on this machine alone."""
