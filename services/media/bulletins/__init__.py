"""Test bulletins: the command to each loudspeaker and the proof that it was played."""
