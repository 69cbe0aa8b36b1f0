"""Our algorithms over mpi4py's communicators.

From the top: `comm` is the drop-in communicator, `forms/` has its methods, `api` the
functions, `plans/` what is kept from one call to the next, `guards/` what looks after the
ranks' agreement and time, `engines/` carries plans out, `data/` reads what a call is given.
"""
