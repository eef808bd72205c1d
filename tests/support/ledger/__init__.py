"""A smallest service, for the tests of the chassis: entries are written on one side and take effect on the other."""
