"""What every service needs and no business word: the plumbing of Xã Số, done once."""

import os

# We fork only to start another program. gRPC would prepare for more than that in every child, and its own threads are
# in the way: now and then a child died before it became the program. Read by gRPC when it is loaded.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
