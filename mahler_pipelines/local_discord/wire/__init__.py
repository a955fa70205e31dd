"""Discord's wire: REST v10, the gateway, control routes and the page."""
