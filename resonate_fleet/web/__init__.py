"""The console page: one HTML, styles, ES modules; no build step."""
