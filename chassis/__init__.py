"""What every service needs and no business word: the plumbing of Xã Số, done once."""
