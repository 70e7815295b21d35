"""One run as one HTML file: stages, findings, measures, gate, drift. In: the record; out: a page under 1 MB."""

from tidemill.server.report.building import write_report

__all__ = ["write_report"]
