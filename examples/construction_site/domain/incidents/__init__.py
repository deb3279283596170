"""Incidents: what is wrong on a site, until it is put right."""
