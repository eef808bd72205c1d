"""The whole platform on one machine: embedded engines, the five services in one process, the command line."""
