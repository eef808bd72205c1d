"""The register of staff of communes and villages, as indicators count them: who serves where, without a name."""
