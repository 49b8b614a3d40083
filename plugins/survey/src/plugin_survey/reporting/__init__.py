"""What a survey reports: its overview, and that as a page, a workbook, JSON and tables on a terminal."""
