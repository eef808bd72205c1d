"""Files and formats: import and its undo, spreadsheets out and in, DHIS2."""
