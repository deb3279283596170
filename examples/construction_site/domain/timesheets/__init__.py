"""Timesheets: hours booked, and by another person validated."""
