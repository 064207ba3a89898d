"""The browser face: one page, a small HTTP API, the standard library's server."""
