"""The methods of `Comm`: blocking, nonblocking, persistent, and those for objects."""
