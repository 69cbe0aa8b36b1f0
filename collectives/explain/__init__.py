"""Show what an algorithm does: everything here reads a trace, and runs nothing.

words     values, parts and messages of a trace in words
moments   a trace beat by beat
grid      what every rank holds, as rows and columns
source    the lines of a page
legend    how both are to be read
summary   what it cost, beside what nothing can beat
wrong     where it went wrong, and how that is usually repaired
terminal  all of it, on a terminal or in a file
"""
