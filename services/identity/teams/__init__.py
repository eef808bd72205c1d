"""Community digital teams (tổ công nghệ số cộng đồng) and their activities."""
