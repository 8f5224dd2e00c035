"""Graphs on execution providers: sessions, plans and workers."""
