"""Show what an algorithm does: in the terminal, in pictures, on a page."""
