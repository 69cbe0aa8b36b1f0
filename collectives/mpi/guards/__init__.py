"""What the ranks compare before a call, and how long they wait for its end."""
