"""The server: live sessions over WebSockets, recordings over HTTP, and a page to try both."""
