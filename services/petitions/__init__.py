"""The petitions service: what residents tell their commune, until it is answered, closed and rated."""
