"""One module per family of routes. The signature of a route is its contract."""
