"""Show what an algorithm does, in the terminal and on a page.

What is printed reads a trace, and runs nothing:

words     values, parts and messages of a trace in words
moments   a trace beat by beat
grid      what every rank holds, as rows and columns
source    the lines of a page
legend    how both are to be read
summary   what it cost, beside what nothing can beat
wrong     where it went wrong, and how that is usually repaired
terminal  all of it, on a terminal or in a file
pictures  the same for print

The page for a browser is for every p, so it computes what a trace says, from a schedule:

recording  the rounds of one rank, without running them
folding    rounds in few bytes
schedule   those of all ranks, for every p
listing    the text of the functions in which an algorithm yields
html       the page, put together from the files in page/
gallery    a page for every algorithm
"""
