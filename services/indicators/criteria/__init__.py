"""What is asked of a unit: sets, rules, measures and overlays as data, and the judging of figures by them."""
