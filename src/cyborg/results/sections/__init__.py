"""Sections of report.html, one module each; the folder is the registry (see page.py)."""
