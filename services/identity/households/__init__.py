"""The register of the households of villages and their digital addresses: the basic data of a commune."""
