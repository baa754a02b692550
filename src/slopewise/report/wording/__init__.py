"""The report's texts, one table for each part; `slopewise.report.messages` joins them.

Invariant: these modules hold texts and nothing else. They are a package because the tables together
are longer than a file should be.
"""
