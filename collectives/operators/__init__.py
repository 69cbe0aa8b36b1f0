"""What a reduction does to two vectors, independent of MPI.

operator     the operators
dtypes       which dtypes are numbers
binned       sums of floats whose bits depend on no order
accumulator  one long number that a float64 is added to without loss
"""
