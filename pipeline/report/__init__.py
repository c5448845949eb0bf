"""The report: every record of a run, joined into one page in Markdown and one in HTML."""
