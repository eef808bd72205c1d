"""From facts to statuses: what is counted, kept in memory, judged, written, rolled up and put in order."""
