"""What a call is given: buffers, datatypes, operators, in MPI's words and checked."""
