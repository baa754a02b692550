"""The HTML report of a training run: one file, readable offline, in English or Korean.

`write_report` writes it. The package computes no figure of its own: it words, draws and tabulates
what a `Result` holds. It is imported only when a report is written, since it needs Jinja2 and
matplotlib.
"""

from slopewise.report.page import render_report as render_report
from slopewise.report.page import write_report as write_report

__all__ = ["render_report", "write_report"]
